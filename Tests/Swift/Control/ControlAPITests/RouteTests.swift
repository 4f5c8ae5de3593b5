import ControlModel
import ControlRoutes
import Core
import EventLoop
import Testing

@testable import ControlAPI
@testable import ControlAPIFakes

@Suite("Routes")
struct RouteTests {
  init() { EventLoop.start() }

  @Test(
    "a method and a target mean one call of one module",
    arguments: [
      ("GET", "/api/v1/status", "status"),
      ("GET", "/api/v1/jobs", "jobs - 0 20"),
      ("GET", "/api/v1/jobs?search=a%20b+c%2B&start=40&limit=5000", "jobs a b c+ 40 5000"),
      ("GET", "/api/v1/jobs?search=", "jobs - 0 20"),
      ("GET", "/api/v1/staged", "staged"),
      ("GET", "/api/v1/staged?limit=5", "staged"),
      ("GET", "/api/v1/staged?after=@7", "staged"),
      ("POST", "/api/v1/staged", "stage f for r"),
      ("DELETE", "/api/v1/staged", "unstage all"),
      ("DELETE", "/api/v1/staged/3f2a", "unstage 3f2a"),
      ("DELETE", "/api/v1/staged/%2Fa+b%C3%BC", "unstage /a+bü"),
      ("DELETE", "/api/v1/staged/..", "unstage .."),
      ("DELETE", "/api/v1/staged?path=/mnt/a%26b", "unstage /mnt/a&b"),
      ("PATCH", "/api/v1/staged/3f2a", "pin 3f2a"),
      ("PATCH", "/api/v1/staged?path=/mnt/a", "pin /mnt/a"),
      ("GET", "/api/v1/cache", "cache"),
      ("GET", "/api/v1/cache?after=i1&limit=1", "cache"),
      ("DELETE", "/api/v1/cache", "clear cache"),
      ("GET", "/api/v1/trace", "trace"),
      ("POST", "/api/v1/shim/restart", "shim restart"),
      ("POST", "/api/v1/shim/kill", "shim kill"),
      ("POST", "/api/v1/reload", "reload"),
      ("GET", "/api/v1/jobs/5f0c", "job 5f0c"),
      ("GET", "/api/v1/staged/3f2a", "item 3f2a"),
      ("GET", "/api/v1/recipients", "recipients"),
      ("GET", "/api/v1/config", "config"),
      ("GET", "/api/v1/log", nil),
    ] as [(String, String, String?)])
  func matches(method: String, target: String, call: String?) async throws {
    let operations = FakeOperations()
    let body = method == "POST" ? #"{"file":"f","recipient":"r"}"# : #"{"pinned":true}"#
    await operations.ask(method, target, body: body)
    #expect(await operations.asked == [call].compactMap { $0 })
  }

  @Test("a stop is asked for with and without a body")
  func stop() async {
    for (body, call) in [("", "stop false"), (#"{"forget":true}"#, "stop true")] {
      let operations = FakeOperations()
      await operations.ask("POST", "/api/v1/stop", body: body)
      #expect(await operations.asked == [call])
    }
  }

  @Test(
    "a part of a list is what the parameters say",
    arguments: [
      ("staged", ListPart()), ("staged?limit=5", ListPart(limit: 5)),
      ("staged?after=@7", ListPart(after: "@7", limit: 1000)),
      ("cache", ListPart()), ("cache?after=i1&limit=1", ListPart(after: "i1", limit: 1)),
    ])
  func parts(target: String, part: ListPart) async throws {
    guard case .given(_, let request) = try await Self.match("GET", "/api/v1/" + target) else {
      Issue.record("it is the server's own")
      return
    }
    #expect(request.part == part)
  }

  @Test(
    "the server's own routes",
    arguments: [
      ("GET", "/api/v1/events", .events(after: nil)),
      ("GET", "/api/v1/events?last_event_id=a-5", .events(after: "a-5")),
      ("POST", "/api/v1/login", .login),
      ("GET", "/healthz", .health),
      ("GET", "/readyz", .readiness),
      ("GET", "/", .page("/")),
      ("GET", "/assets/main.js", .page("/assets/main.js")),
      ("GET", "/assets/..%2Fx", .page("/assets/../x")),
      ("GET", "/login?code=ab", .enter("ab")),
      ("GET", "/login", .enter("")),
    ] as [(String, String, OwnRoute)])
  func own(method: String, target: String, route: OwnRoute) async throws {
    guard case .own(let found) = try await Self.match(method, target) else {
      Issue.record("it is a module's")
      return
    }
    #expect(found == route)
  }

  @Test(
    "what is no request of ours has its code",
    arguments: [
      ("GET", "//", .noSuchRoute),
      ("GET", "/index.html", .noSuchRoute),
      ("GET", "/assets", .noSuchRoute),
      ("GET", "/assets/", .noSuchRoute),
      ("GET", "/assets/a/b", .noSuchRoute),
      ("POST", "/", .methodNotAllowed),
      ("POST", "/login?code=0", .methodNotAllowed),
      ("GET", "/login?next=/", .invalid),
      ("GET", "/healthz/", .noSuchRoute),
      ("GET", "/api/v1/login", .methodNotAllowed),
      ("POST", "/api/v1/log", .methodNotAllowed),
      ("GET", "/api/v1/jobs/", .noSuchRoute),
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
      ("PUT", "/api/v1/staged/3f2a", .methodNotAllowed),
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
  func refuses(method: String, target: String, code: ControlError.Code) async {
    do throws(ControlError) {
      let route = try await Self.match(method, target)
      Issue.record("was taken for \(route)")
    } catch {
      #expect(error.code == code)
    }
  }

  @Test(
    "no misspelling of one item's removal removes all",
    arguments: [
      "/api/v1/staged/", "/api/v1/staged?path=", "/api/v1/staged?path", "/api/v1/staged?pth=/mnt/a",
      "/api/v1/staged?path=relative",
      "/api/v1/staged//", "/api/v1/staged?id=3f2a",
    ])
  func removesNotAll(target: String) async {
    let route = try? await Self.match("DELETE", target)
    #expect(route == nil)
  }

  @Test("the methods of a path are known")
  func methods() async {
    let routes = RouteTable(await FakeOperations().groups)
    #expect(routes.methods(target: "/api/v1/staged") == ["GET", "POST", "DELETE", "PATCH"])
    #expect(routes.methods(target: "/api/v1/nothing") == [])
  }

  private static func match(_ method: String, _ target: String) async throws(ControlError) -> RouteTable.Match {
    try RouteTable(await FakeOperations().groups).match(method: method, target: target)
  }
}

extension FakeOperations {
  /// Asks the route of that method and target, without a server; the answer and its errors are dropped.
  func ask(_ method: String, _ target: String, body: String = "") async {
    guard case .given(let route, var request)? = try? RouteTable(groups).match(method: method, target: target) else {
      return
    }
    request.body = Array(body.utf8)
    _ = try? await route.handler(request)
  }
}
