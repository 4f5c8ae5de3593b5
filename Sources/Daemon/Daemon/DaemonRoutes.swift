import ControlModel
import ControlRoutes
import Core
import Glibc
import ShimHost
import Telemetry

/// The routes of the control plane itself: its status, its settings and its log, its shims, its end. They have no
/// state: a handler runs on the dispatch loop and calls the control plane.
@DispatchLoop
enum DaemonRoutes {
  static func group(_ operations: any DaemonOperations) -> RouteGroup {
    RouteGroup(views(operations) + orders(operations), events: DaemonEvents(operations))
  }

  private static func views(_ operations: any DaemonOperations) -> [Route] {
    [
      Route("GET", "status", name: "status") { _ in try RouteAnswer(await operations.status()) },
      Route("GET", "trace", name: "trace") { _ in .long(try await operations.trace()) },
      Route("GET", "config", name: "config") { _ in .long(operations.configuration()) },
      Route("GET", "log", name: "log") { _ in try RouteAnswer(LogLevel(level: Log.level.name)) },
    ]
  }

  private static func orders(_ operations: any DaemonOperations) -> [Route] {
    [
      Route("PUT", "log", name: "log level") { try RouteAnswer(setLogLevel($0, operations)) },
      Route("POST", "shim/restart", name: "shim restart") { _ in try RouteAnswer(await operations.restartShim()) },
      Route("POST", "shim/kill", name: "shim kill") { _ in try RouteAnswer(await operations.killShim()) },
      Route("POST", "reload", name: "reload") { _ in
        var answer = try RouteAnswer(await operations.reload(), status: 202)
        answer.afterwards = { operations.replaceImage() }
        return answer
      },
      Route("POST", "stop", name: "stop") { request in
        let order =
          request.body.isEmpty ? nil : try request.decode(StopRequest.self, shape: #"{"forget": true or false}"#)
        try await operations.stop(forget: order?.forget ?? false)
        var answer = try RouteAnswer(StopReply(pid: Int(getpid())), status: 202)
        answer.isLast = true
        return answer
      },
    ]
  }

  private static func setLogLevel(_ request: RouteRequest, _ operations: any DaemonOperations) throws -> LogLevel {
    let order = try request.decode(LogLevel.self, shape: #"{"level": "debug", "info", "warning" or "error"}"#)
    guard let level = Log.Level.allCases.first(where: { $0.name == order.level }) else {
      throw ControlError(.invalid, "the log knows the levels debug, info, warning and error")
    }
    operations.setLogLevel(level)
    return LogLevel(level: level.name)
  }
}

extension ShimHostError: Explained {
  package var code: ControlError.Code { .failed }
  package var sentence: String { description }
}
