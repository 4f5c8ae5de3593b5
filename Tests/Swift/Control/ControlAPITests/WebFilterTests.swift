import ControlModel
import Core
import Testing

@testable import ControlAPI
@testable import ControlAPIFakes

@Suite("The filter of 127.0.0.1")
struct WebFilterTests {
  private static let token = String(repeating: "5e", count: 32)
  private static let key = SessionKey(token: Redacted(token))
  private let filter = WebFilter(port: 4711, key: key, tellsOwners: false)

  private func head(_ method: String = "GET", host: String? = "127.0.0.1:4711", _ more: (String, String)...)
    -> RequestHead
  {
    let first = host.map { [("Host", $0)] } ?? []
    return RequestHead(method: method, headers: (first + more).map { RequestHead.Header(name: $0.0, value: $0.1) })
  }

  private func refusal(_ head: RequestHead, _ access: Access = .person) -> ControlError.Code? {
    filter.refusal(of: head, needing: access, on: nil)?.code
  }

  @Test(
    "only our own address is answered, whoever asks",
    arguments: [
      ("127.0.0.1:4711", nil), ("localhost:4711", nil), ("LOCALHOST:4711", nil), (nil, .forbidden), ("", .forbidden),
      ("127.0.0.1", .forbidden), ("127.0.0.1:80", .forbidden), ("evil.example", .forbidden),
      ("evil.example:4711", .forbidden),
      ("localhost.evil.example:4711", .forbidden), ("127.0.0.1:4711.evil.example", .forbidden),
      ("0.0.0.0:4711", .forbidden),
      ("[::1]:4711", .forbidden), ("user@127.0.0.1:4711", .forbidden), ("127.0.0.1:4711 ", .forbidden),
    ] as [(String?, ControlError.Code?)])
  func hosts(host: String?, code: ControlError.Code?) {
    for access in [Access.anyone, .person] {
      #expect(refusal(head(host: host, ("Authorization", "Bearer \(Self.token)")), access) == code)
    }
  }

  @Test("two hosts are none")
  func twoHosts() {
    #expect(refusal(head("GET", ("Host", "evil.example"), ("Authorization", "Bearer \(Self.token)"))) == .forbidden)
    #expect(refusal(head("GET", ("host", "127.0.0.1:4711"), ("Authorization", "Bearer \(Self.token)"))) == .forbidden)
  }

  @Test(
    "only our own pages are answered",
    arguments: [
      ("http://127.0.0.1:4711", nil), ("http://localhost:4711", nil), ("null", .forbidden), ("", .forbidden),
      ("http://127.0.0.1", .forbidden),
      ("https://127.0.0.1:4711", .forbidden), ("http://127.0.0.1:4712", .forbidden),
      ("http://evil.example", .forbidden),
      ("http://127.0.0.1:4711.evil.example", .forbidden), ("file://", .forbidden), ("127.0.0.1:4711", .forbidden),
      ("http://127.0.0.1:4711/", .forbidden),
    ] as [(String, ControlError.Code?)])
  func origins(origin: String, code: ControlError.Code?) {
    for access in [Access.anyone, .person] {
      #expect(refusal(head("GET", ("Origin", origin), ("Authorization", "Bearer \(Self.token)")), access) == code)
    }
    #expect(refusal(head("GET", ("Origin", "http://127.0.0.1:4711"), ("Origin", origin)), .anyone) == code)
  }

  @Test(
    "only the token is the token",
    arguments: [
      ("Bearer \(token)", nil), ("bearer  \(token)", nil), ("Bearer", .unauthorized), ("Bearer ", .unauthorized),
      (token, .unauthorized),
      ("Basic \(token)", .unauthorized), ("Bearer \(token)0", .unauthorized),
      ("Bearer \(token.dropLast())", .unauthorized),
      ("Bearer \(String(repeating: "5f", count: 32))", .unauthorized), ("Bearer \(token) x", .unauthorized),
      ("", .unauthorized),
    ] as [(String, ControlError.Code?)])
  func tokens(header: String, code: ControlError.Code?) {
    #expect(refusal(head("GET", ("Authorization", header))) == code)
    #expect(refusal(head("GET", ("Authorization", header)), .anyone) == nil)
  }

  @Test("a wrong token is not made good by a session, nor by a second one")
  func both() throws {
    let session = try session(until: 60)
    #expect(refusal(head("GET", ("Cookie", session))) == nil)
    #expect(refusal(head("GET", ("Cookie", session), ("Authorization", "Bearer x"))) == .unauthorized)
    #expect(
      refusal(head("GET", ("Authorization", "Bearer x"), ("Authorization", "Bearer \(Self.token)"))) == .unauthorized)
  }

  /// The header `Cookie` of one that ends so many seconds from now.
  private func session(until seconds: Int64, port: Int = 4711, named: String = "fsmvp-4711") throws -> String {
    let now = SystemClock().wallNanoseconds() / 1_000_000_000
    return "\(named)=\(try #require(Self.key.session(port: port, until: now + seconds)))"
  }

  @Test(
    "a session is found among what other servers of this machine have set, and one that is over or another's is none")
  func sessions() throws {
    let good = try session(until: 60)
    for cookies in [
      good, "a=b; \(good)", "\(good); a=b", "fsmvp-4711=junk; \(good)", "\(good);fsmvp-4711=", "x;\(good)",
    ] {
      #expect(refusal(head("GET", ("Cookie", cookies))) == nil, "\(cookies)")
    }
    #expect(refusal(head("GET", ("Cookie", "a=b"), ("Cookie", good))) == nil)
    for cookies in [
      try session(until: -1), try session(until: 60, port: 4712), try session(until: 60, named: "fsmvp-4712"),
      good + "0", "fsmvp-4711=", "fsmvp-4711", "", "xfsmvp-4711=\(good.dropFirst("fsmvp-4711=".count))",
    ] {
      #expect(refusal(head("GET", ("Cookie", cookies))) == .unauthorized, "\(cookies)")
    }
  }

  @Test("a new session is one, for our pages only")
  func newSession() throws {
    let header = try #require(filter.newSession())
    #expect(header.hasSuffix("; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict"))
    let pair = try #require(header.split(separator: ";").first)
    #expect(refusal(head("GET", ("Cookie", String(pair)))) == nil)
  }

  @Test("what only a process may ask for is refused to everybody here")
  func process() {
    #expect(refusal(head("POST", ("Authorization", "Bearer \(Self.token)")), .process) == .forbidden)
    #expect(refusal(head("POST"), .process) == .unauthorized)
  }

  @Test(
    "a body that a form could send is refused",
    arguments: [
      (["Content-Length": "5", "Content-Type": "application/json"], nil),
      (["Content-Length": "5", "Content-Type": "Application/JSON; charset=utf-8"], nil),
      (["Transfer-Encoding": "chunked", "Content-Type": "application/json"], nil),
      (["Content-Length": "0"], nil), ([:], nil),
      (["Content-Length": "5"], .invalid), (["Transfer-Encoding": "chunked"], .invalid),
      (["Content-Length": "5", "Content-Type": "text/plain"], .invalid),
      (["Content-Length": "0", "Content-Type": "text/plain"], .invalid),
      (["Content-Length": "5", "Content-Type": "text/plain; application/json"], .invalid),
      (["Content-Length": "5", "Content-Type": "multipart/form-data; boundary=x"], .invalid),
      (["Content-Type": "application/x-www-form-urlencoded"], .invalid),
      (["Content-Length": "5", "Content-Type": "application/jsonp"], .invalid),
    ] as [([String: String], ControlError.Code?)])
  func bodies(headers: [String: String], code: ControlError.Code?) {
    var head = head("POST", ("Authorization", "Bearer \(Self.token)"))
    head.headers += headers.map { RequestHead.Header(name: $0.key, value: $0.value) }
    #expect(refusal(head) == code)
  }

  @Test("at port 80 the address needs no port, as a browser leaves it out")
  func port80() {
    let filter = WebFilter(port: 80, key: Self.key, tellsOwners: false)
    #expect(
      filter.refusal(of: head(host: "localhost", ("Origin", "http://localhost")), needing: .anyone, on: nil) == nil)
  }
}
