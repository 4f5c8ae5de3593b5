import ControlModel
import Testing

@testable import ControlAPI

@Suite("Routes")
struct RouteTests {
  @Test(
    "a method and a target mean one route",
    arguments: [
      ("GET", "/api/v1/status", .status),
      ("GET", "/api/v1/jobs", .jobs(search: nil, start: 0, limit: 20)),
      ("GET", "/api/v1/jobs?search=a%20b+c%2B&start=40&limit=5000", .jobs(search: "a b c+", start: 40, limit: 5000)),
      ("GET", "/api/v1/jobs?search=", .jobs(search: nil, start: 0, limit: 20)),
      ("GET", "/api/v1/staged", .staged),
      ("POST", "/api/v1/staged", .stage),
      ("DELETE", "/api/v1/staged", .unstageAll),
      ("DELETE", "/api/v1/staged/3f2a", .unstage("3f2a")),
      ("DELETE", "/api/v1/staged/%2Fa+b%C3%BC", .unstage("/a+bü")),
      ("DELETE", "/api/v1/staged/..", .unstage("..")),
      ("DELETE", "/api/v1/staged?path=/mnt/a%26b", .unstage("/mnt/a&b")),
      ("PATCH", "/api/v1/staged/3f2a", .pin("3f2a")),
      ("PATCH", "/api/v1/staged?path=/mnt/a", .pin("/mnt/a")),
      ("GET", "/api/v1/cache", .cache),
      ("DELETE", "/api/v1/cache", .clearCache),
      ("GET", "/api/v1/trace", .trace),
      ("POST", "/api/v1/shim/restart", .restartShim),
      ("POST", "/api/v1/shim/kill", .killShim),
      ("POST", "/api/v1/reload", .reload),
      ("POST", "/api/v1/stop", .stop),
    ] as [(String, String, Route)])
  func matches(method: String, target: String, route: Route) throws {
    #expect(try Route.match(method: method, target: target) == route)
  }

  @Test(
    "what is no request of ours has its code",
    arguments: [
      ("GET", "/", .noSuchRoute),
      ("GET", "/api/v1", .noSuchRoute),
      ("GET", "/api/v1/", .noSuchRoute),
      ("GET", "/api/v2/status", .noSuchRoute),
      ("GET", "/api/v1/statuss", .noSuchRoute),
      ("GET", "/api/v1//status", .noSuchRoute),
      ("GET", "/api/v1/status/", .noSuchRoute),
      ("DELETE", "/api/v1/staged/a/b", .noSuchRoute),
      ("GET", "status", .invalid),
      ("GET", "", .invalid),
      ("GET", "*", .invalid),
      ("POST", "/api/v1/status", .methodNotAllowed),
      ("GET", "/api/v1/shim/kill", .methodNotAllowed),
      ("GET", "/api/v1/reload", .methodNotAllowed),
      ("POST", "/api/v1/shim", .noSuchRoute),
      ("POST", "/api/v1/shim/kill?pid=1", .invalid),
      ("PUT", "/api/v1/staged", .methodNotAllowed),
      ("PATCH", "/api/v1/staged", .invalid),
      ("PATCH", "/api/v1/staged?path=a", .invalid),
      ("PATCH", "/api/v1/staged/", .noSuchRoute),
      ("POST", "/api/v1/cache", .methodNotAllowed),
      ("DELETE", "/api/v1/cache?orphans", .invalid),
      ("GET", "/api/v1/staged/3f2a", .methodNotAllowed),
      ("get", "/api/v1/status", .methodNotAllowed),
      ("GET", "/api/v1/jobs?start=-1", .invalid),
      ("GET", "/api/v1/jobs?start=99999999999999999999", .invalid),
      ("GET", "/api/v1/jobs?limit=0", .invalid),
      ("GET", "/api/v1/jobs?limit=5001", .invalid),
      ("GET", "/api/v1/jobs?limit=ten", .invalid),
      ("GET", "/api/v1/jobs?limit=5&limit=6", .invalid),
      ("GET", "/api/v1/jobs?serach=x", .invalid),
      ("GET", "/api/v1/%zz", .invalid),
      ("GET", "/api/v1/%4", .invalid),
      ("GET", "/api/v1/%ff", .invalid),
      ("DELETE", "/api/v1/staged/a%00b", .invalid),
    ] as [(String, String, ControlError.Code)])
  func refuses(method: String, target: String, code: ControlError.Code) {
    do throws(ControlError) {
      let route = try Route.match(method: method, target: target)
      Issue.record("was taken for \(route)")
    } catch {
      #expect(error.code == code)
    }
  }

  @Test(
    "no misspelling of one item's removal removes all",
    arguments: [
      "/api/v1/staged/", "/api/v1/staged?path=", "/api/v1/staged?path", "/api/v1/staged?pth=/mnt/a", "/api/v1/staged?path=relative",
      "/api/v1/staged//", "/api/v1/staged?id=3f2a",
    ])
  func removesNotAll(target: String) {
    let route = try? Route.match(method: "DELETE", target: target)
    #expect(route == nil)
  }

  @Test("the methods of a path are known")
  func methods() {
    #expect(Route.methods(target: "/api/v1/staged") == ["GET", "POST", "DELETE", "PATCH"])
    #expect(Route.methods(target: "/api/v1/nothing") == [])
  }
}
