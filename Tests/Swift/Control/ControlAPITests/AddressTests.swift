import ControlModel
import Core
import EventLoop
import Testing

@testable import ControlAPI
@testable import ControlAPIFakes

@Suite("Where an item is, as people and programs write it")
struct AddressTests {
  init() { EventLoop.start() }

  @Test(
    "a file URL is a path",
    arguments: [
      ("file:///a/b%20c%C3%A4.mp4", "/a/b cä.mp4"), ("file://localhost/a", "/a"), ("FILE:/a/%25", "/a/%"),
      ("/a%20b", "/a%20b"),
      ("0123abcd", "0123abcd"),
      ("file.mp4", "file.mp4"),
    ])
  func urls(text: String, path: String) { #expect(FileAddress.path(text) == path) }

  @Test(
    "a file URL of another machine, or one that is none, is refused",
    arguments: [
      "file://server/a", "file:a", "file:///a%2", "file:///a%zz", "file:///a%00b", "file:///%ff", "file:", "file://",
    ])
  func refused(text: String) async throws {
    #expect(FileAddress.path(text) == nil)
    let routes = RouteTable(await FakeOperations().groups)
    #expect(throws: ControlError.self) {
      try routes.match(method: "DELETE", target: "/api/v1/staged?path=" + text.replacing("%", with: "%25"))
    }
  }

  @Test("the API takes a file URL for a path")
  func route() async throws {
    let operations = FakeOperations()
    await operations.ask("DELETE", "/api/v1/staged?path=file:///m/a%2520b")
    #expect(await operations.asked == ["unstage /m/a b"])
  }
}
