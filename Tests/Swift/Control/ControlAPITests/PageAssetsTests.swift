import ControlModel
import Testing

@testable import ControlAPI

@Suite("The page's files")
struct PageAssetsTests {
  private let assets = PageAssets([
    PageAssets.File(path: "/", type: "text/html; charset=utf-8", bytes: Array("<!doctype html>".utf8)),
    PageAssets.File(path: "/assets/main.js", type: "text/javascript", bytes: [0, 0xff, 0xfe]),
    PageAssets.File(path: "signed-out.html", type: "text/html", bytes: Array("out".utf8)),
    PageAssets.File(path: "signed-in.html", type: "text/html", bytes: Array("in".utf8)),
  ])

  @Test("a file comes as it is, with its type and a tag")
  func file() throws {
    let answer = assets.answer("/assets/main.js", known: nil)
    #expect(
      answer.status == 200 && answer.body == [0, 0xff, 0xfe] && answer.headers["Content-Type"] == "text/javascript")
    let tag = try #require(answer.headers["ETag"])
    #expect(tag.hasPrefix("\"") && tag.hasSuffix("\""))
    #expect(assets.answer("/", known: nil).headers["ETag"] != tag)
    #expect(answer.headers["Cache-Control"] == "no-cache")
  }

  @Test("who has it already is told so")
  func known() throws {
    let tag = try #require(assets.answer("/", known: nil).headers["ETag"])
    for known in [tag, "W/\(tag)", "\"x\", \(tag)", "\"x\",\(tag) ", "*"] {
      let answer = assets.answer("/", known: known)
      #expect(answer.status == 304 && answer.body == [] && answer.headers["ETag"] == tag, "\(known)")
    }
    for known in ["", "\"x\"", String(tag.dropLast()), tag + "x"] {
      #expect(assets.answer("/", known: known).status == 200, "\(known)")
    }
  }

  @Test(
    "the bodies of other answers are no files to ask for",
    arguments: ["signed-out.html", "/signed-out.html", "/assets/..", "/none", ""])
  func none(path: String) { #expect(assets.answer(path, known: nil).status == 404) }

  @Test("those without a session get the page for that, with the status that says so; without a page, a line")
  func signedOut() {
    let answer = assets.signedOut(ControlError(.unauthorized, "x"))
    #expect(answer.status == 401 && answer.body == Array("out".utf8) && answer.headers["Content-Type"] == "text/html")
    #expect(answer.headers["WWW-Authenticate"] == "Bearer realm=\"fsmvp\"")
    let line = PageAssets().signedOut(ControlError(.unauthorized, "x"))
    #expect(line.status == 401 && String(decoding: line.body, as: UTF8.self).contains("fsmvp ui"))
  }

  @Test("a new session comes with a page that goes on")
  func signedIn() {
    let answer = assets.signedIn(session: "a=b")
    #expect(answer.status == 200 && answer.body == Array("in".utf8) && answer.headers["Set-Cookie"] == "a=b")
    let plain = PageAssets().signedIn(session: "a=b")
    #expect(String(decoding: plain.body, as: UTF8.self).contains("0; url=/"))
  }
}
