import Core
import Testing

@testable import ControlAPI

@Suite("Sessions and codes")
struct SessionTests {
  private let key = SessionKey(token: Redacted(String(repeating: "a1", count: 32)))
  private let now: Int64 = 1_800_000_000

  @Test("a session is good until its end, for its port, under its token, and unchanged")
  func session() throws {
    let session = try #require(key.session(port: 4711, until: now + 10))
    #expect(key.isSession(session, port: 4711, now: now))
    #expect(key.isSession(session, port: 4711, now: now + 9))
    #expect(!key.isSession(session, port: 4711, now: now + 10))
    #expect(!key.isSession(session, port: 4712, now: now))
    #expect(!SessionKey(token: Redacted(String(repeating: "a2", count: 32))).isSession(session, port: 4711, now: now))
    let later = session.replacing("\(now + 10).", with: "\(now + 99).")
    #expect(later != session && !key.isSession(later, port: 4711, now: now))
    for index in session.indices {
      var forged = session
      forged.replaceSubrange(index...index, with: session[index] == "1" ? "2" : "1")
      #expect(!key.isSession(forged, port: 4711, now: now))
    }
  }

  @Test(
    "what is no session is none",
    arguments: [
      "", ".", "1.", ".ff", "abc", "99999999999", "99999999999.", "99999999999999999999.00", "+1900000000.00", "-1.00",
      "1e30.00",
    ])
  func nonsense(text: String) { #expect(!key.isSession(text, port: 4711, now: now)) }

  @Test("an end that is spelled otherwise is another session, and not signed")
  func spelling() throws {
    let session = try #require(key.session(port: 1, until: now + 10))
    #expect(!key.isSession("0" + session, port: 1, now: now))
    #expect(!key.isSession("+" + session, port: 1, now: now))
    #expect(!key.isSession(session + " ", port: 1, now: now))
  }

  @Test("the token is its very text")
  func token() {
    let text = String(repeating: "a1", count: 32)
    #expect(key.isToken(text))
    #expect(
      !key.isToken(text.uppercased()) && !key.isToken("") && !key.isToken(text + "a") && !key.isToken(text.dropLast()))
  }

  @Test("a code is good once, for five minutes")
  func code() {
    var codes = LoginCodes()
    let start = Moment(nanoseconds: 1_000_000_000_000)
    let code = codes.make(at: start).reveal()
    #expect(code.utf8.count == 32)
    #expect(codes.knows(code, at: start + .seconds(299)) && codes.knows(code, at: start))
    let used = codes.use(code, at: start + .seconds(299))
    let usedAgain = codes.use(code, at: start + .seconds(299))
    #expect(used && !usedAgain)
    let late = codes.make(at: start).reveal()
    let usedLate = codes.use(late, at: start + .seconds(300))
    #expect(!usedLate)
    let empty = codes.use("", at: start)
    #expect(!empty && late != code)
  }

  @Test("of many codes the last sixteen are good")
  func codes() {
    var codes = LoginCodes()
    let start = Moment(nanoseconds: 1)
    let made = (0..<20).map { _ in codes.make(at: start).reveal() }
    #expect(Set(made).count == 20)
    #expect(made.map { codes.knows($0, at: start) } == (0..<20).map { $0 >= 4 })
    // Old ones make no room that new ones need.
    let later = codes.make(at: start + LoginCodes.lifetime).reveal()
    #expect(
      codes.knows(later, at: start + LoginCodes.lifetime) && !codes.knows(made[19], at: start + LoginCodes.lifetime))
  }

  @Test("secrets are as long as they are said to be, and never the same")
  func secrets() {
    let made = (0..<100).map { _ in Secret.hex(bytes: 32) }
    #expect(Set(made).count == 100 && made.allSatisfy { $0.utf8.count == 64 })
    #expect(Secret.hex([0, 10, 255]) == "000aff")
  }
}
