import ControlModel
import ControlRoutes
import Core
import Telemetry

/// From a request to an answer. It runs on the dispatch loop; a handler that waits does so in a task of its own.
extension ControlServer {
  func access(to match: RouteTable.Match?) -> Access {
    guard case .own(let route)? = match else { return .person }
    return switch route {
    case .health, .readiness, .enter: .anyone
    case .page(let path): webOptions.assets[path]?.isOpen == true ? .anyone : .person
    case .login: .process
    case .events: .person
    }
  }

  /// Answers the routes that need nothing but the server; nil for the others.
  func answerAtOnce(_ match: RouteTable.Match, head: RequestHead, at listener: Listener) -> ControlAnswer? {
    guard case .own(let route) = match else { return nil }
    switch route {
    case .health: return ControlAnswer(Health())
    case .readiness:
      let readiness = isStopping ? Readiness(.stopping) : readiness()
      return ControlAnswer(readiness, status: readiness.status == .ready ? 200 : 503)
    case .page(let path): return webOptions.assets.answer(path, known: head.value("If-None-Match"))
    case .enter(let code): return enter(code, isHead: head.method == "HEAD", at: listener)
    case .events, .login: return nil
    }
  }

  /// The answer to a request that reaches no route.
  func answer(_ error: ControlError, target: String) -> ControlAnswer {
    if error.code == .unauthorized, case .own(.page("/"))? = try? routes.match(method: "GET", target: target) {
      return webOptions.assets.signedOut(error)
    }
    return ControlAnswer(error, allowing: error.code == .methodNotAllowed ? routes.methods(target: target) : [])
  }

  /// Runs the route; its answer goes to the suspended exchange.
  func perform(_ match: RouteTable.Match, body: [UInt8], for exchange: Exchange) {
    Task { @DispatchLoop in
      switch match {
      case .own: exchange.deliver(await login())
      case .given(let route, var request):
        request.body = body
        do {
          let answer = try await route.handler(request)
          if answer.isLast { refuseFromNowOn() }
          if let work = answer.afterwards { exchange.afterwards(work) }
          exchange.deliver(ControlAnswer(answer))
        } catch {
          exchange.deliver(failure(error, of: route))
        }
      }
      exchange.listener.turn()
    }
  }

  private func failure(_ error: any Error, of route: Route) -> ControlAnswer {
    let failure = ControlError(thrown: error)
    Log.info(.apiFailed, ["route": "\(route.name)", "code": failure.code.rawValue, "cause": "\(error)"])
    return ControlAnswer(failure)
  }
}
