import ControlModel
import Core
import EventLoop
import Glibc
import Telemetry

/// The control API's server: HTTP on a Unix socket, and on 127.0.0.1 once somebody wants the page. What comes by either door is answered by the same
/// operations.
@DispatchLoop
package final class ControlServer {
  /// Why a server did not start: one sentence for a person.
  package enum Failure: Error, Sendable, Equatable {
    /// Another control plane answers at the socket.
    case inUse(String)
    case failed(String)

    init(_ failure: SocketFile.Failure, socket: String) {
      switch failure {
      case .inUse: self = .inUse("a control plane is running already (socket \(socket)); stop it with `fsmvp stop`")
      case .notASocket: self = .failed("the control API's socket cannot be made: \(socket) exists and is no socket; remove it")
      case .failed(let error) where error.code == ENAMETOOLONG:
        self = .failed(
          "the control API's socket cannot be made: \(socket) is too long a path for a socket; choose a shorter runtime folder")
      case .failed(let error): self = .failed("the control API's socket \(socket) cannot be made: \(error)")
      }
    }
  }

  /// Absolute.
  package nonisolated let socket: String
  private let file: SocketFile
  let dispatch: ControlDispatch
  let hub: EventHub
  private let feed: EventFeed
  private var unixDoor: Door?
  let webOptions: WebOptions
  var web = WebState()
  /// Set by `close` and by an accepted stop: whatever comes now is answered with 503.
  private(set) var isStopping = false
  private(set) var isClosing = false

  /// Makes the socket (0600) and answers requests on it from the loop's next turn on.
  /// - Parameters:
  ///   - socket: the absolute path of the socket. A dead process's is replaced. The folder has to exist.
  ///   - web: how 127.0.0.1 is listened to; see `openWebAtStart`.
  ///   - operations: kept, as the server itself, until `close`.
  package convenience init(socket: String, web: WebOptions, operations: any ControlOperations) throws(Failure) {
    try self.init(socket: socket, web: web, operations: operations, limits: Door.Limits())
  }

  init(socket: String, web: WebOptions, operations: any ControlOperations, limits: Door.Limits) throws(Failure) {
    self.socket = socket
    webOptions = web
    dispatch = ControlDispatch(operations: operations)
    // The cache's last report comes with the feed, which begins with the hub.
    var last: () -> CacheReport? = { nil }
    hub = EventHub { ControlSnapshot(status: operations.glance(), items: operations.itemsNow(), cache: last()) }
    feed = EventFeed(operations: operations, hub: hub)
    last = { [weak feed] in feed?.lastCache }
    do {
      file = try SocketFile(path: socket)
    } catch {
      throw Failure(error, socket: socket)
    }
    do {
      unixDoor = try Door(listening: file.descriptor, gate: PeerGate(), server: self, limits: limits)
    } catch {
      file.unlinkName()
      Glibc.close(file.descriptor)
      throw .failed("the control API's server cannot be started: \(error)")
    }
  }

  private var doors: [Door] { [unixDoor, web.door].compactMap { $0 } }

  // MARK: Requests

  func access(to route: Route?) -> Access {
    switch route {
    case .health, .readiness, .enter: .anyone
    case .page(let path): webOptions.assets[path]?.isOpen == true ? .anyone : .person
    case .login: .process
    default: .person
    }
  }

  /// Of what needs no operation.
  func answerAtOnce(_ route: Route, head: RequestHead, at door: Door) -> ControlAnswer? {
    switch route {
    case .health: return ControlAnswer(Health())
    case .readiness:
      let readiness = isStopping ? Readiness(.stopping) : Readiness(dispatch.operations.glance().shim.state)
      return ControlAnswer(readiness, status: readiness.status == .ready ? 200 : 503)
    case .page(let path): return webOptions.assets.answer(path, known: head.value("If-None-Match"))
    case .enter(let code): return enter(code, isHead: head.method == "HEAD", at: door)
    default: return nil
    }
  }

  /// Of a request that reaches no operation.
  func answer(_ error: ControlError, target: String) -> ControlAnswer {
    if error.code == .unauthorized, (try? Route.match(method: "GET", target: target)) == .page("/") {
      return webOptions.assets.signedOut(error)
    }
    var answer = ControlAnswer(error)
    if error.code == .methodNotAllowed { answer.headers["Allow"] = Route.methods(target: target).joined(separator: ", ") }
    return answer
  }

  /// Runs the route's operation; its answer goes to the suspended exchange.
  func perform(_ route: Route, body: [UInt8], for exchange: Exchange) {
    Task { @DispatchLoop in
      let answer = route == .login ? await login() : await dispatch.answer(route, body: body)
      if route == .stop, answer.status == 202 { isStopping = true }
      if route == .reload, answer.status == 202 { exchange.afterwards { [dispatch] in dispatch.operations.replaceImage() } }
      exchange.deliver(answer)
      exchange.door.turn()
    }
  }

  // MARK: The end

  /// Takes no more requests, gives those under way `grace` to get their answers (the rest are told that the control plane stops), and removes
  /// the socket. Safe to call twice.
  package func close(grace: Duration = .milliseconds(500)) async {
    guard unixDoor != nil, !isClosing else { return }
    isClosing = true
    isStopping = true
    // The name goes first: who looks from now on finds no control plane.
    file.unlinkName()
    for door in doors { door.shut() }
    feed.close()
    hub.end()
    for door in doors { door.turn() }
    if !doors.allSatisfy(\.isIdle) { await drain(within: grace) }
    for door in doors {
      door.dismiss()
      door.end()
    }
    unixDoor = nil
    web.door = nil
  }

  private func drain(within grace: Duration) async {
    var limit: LoopTimer?
    var over: (() -> Void)?
    await withCheckedContinuation { continuation in
      over = {
        over = nil
        continuation.resume()
      }
      let doors = doors
      for door in doors { door.drained = { if doors.allSatisfy(\.isIdle) { over?() } } }
      limit = try? LoopTimer(on: .dispatch) { DispatchLoop.assumeIsolated { over?() } }
      if let limit { limit.start(after: grace) } else { over?() }
    }
    for door in doors { door.drained = nil }
    limit?.close()
  }
}
