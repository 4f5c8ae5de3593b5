import ControlModel
import ControlRoutes
import Core
import EventLoop
import Glibc
import Telemetry

/// The control API's server: HTTP on a Unix socket, and on 127.0.0.1 from the first login on, with the same routes. It
/// knows the groups that it is given and none by name. The control plane makes the one of the process. The server owns
/// the listeners, the socket's name and the events, on the dispatch loop.
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
      case .notASocket:
        self = .failed("the control API's socket cannot be made: \(socket) exists and is no socket; remove it")
      case .failed(let error) where error.code == ENAMETOOLONG:
        self = .failed(
          "the control API's socket cannot be made: \(socket) is too long a path for a socket; choose a shorter "
            + "runtime folder"
        )
      case .failed(let error): self = .failed("the control API's socket \(socket) cannot be made: \(error)")
      }
    }
  }

  /// Absolute.
  package nonisolated let socket: String
  private var file: SocketFile
  private var isRestoring = false
  /// Why the socket could not be put back, as it was said last.
  private var saidOfRestoring: String?
  let routes: RouteTable
  let readiness: @DispatchLoop () -> Readiness
  private let adopters: [ConnectionAdopter]
  let hub: EventHub
  private let feed: EventFeed
  private var unixListener: Listener?
  let webOptions: WebOptions
  var web = WebState()
  /// Set by `close` and by an accepted stop: whatever comes now is answered with 503.
  private(set) var isStopping = false
  private(set) var isClosing = false

  /// Makes the socket (0600) and answers requests on it from the loop's next turn on.
  /// - Parameters:
  ///   - socket: the absolute path of the socket. A dead process's is replaced. The folder has to exist.
  ///   - web: how 127.0.0.1 is listened to; see `openWebAtStart`.
  ///   - groups: the routes beside the server's own, and the sources of the events; kept, as the server itself, until
  ///     `close`.
  ///   - adopters: other servers of this process that are reached at this socket, too.
  ///   - readiness: whether paths can be read; asked on the loop, for `GET /readyz`.
  package convenience init(
    socket: String, web: WebOptions, groups: [RouteGroup], adopters: [ConnectionAdopter] = [],
    readiness: @escaping @DispatchLoop () -> Readiness
  ) throws(Failure) {
    try self.init(
      socket: socket, web: web, groups: groups, adopters: adopters, readiness: readiness, limits: Listener.Limits())
  }

  init(
    socket: String, web: WebOptions, groups: [RouteGroup], adopters: [ConnectionAdopter] = [],
    readiness: @escaping @DispatchLoop () -> Readiness, limits: Listener.Limits
  ) throws(Failure) {
    self.socket = socket
    self.adopters = adopters
    webOptions = web
    routes = RouteTable(groups)
    self.readiness = readiness
    let sources = groups.compactMap(\.events)
    hub = EventHub(sources: sources)
    feed = EventFeed(sources: sources, hub: hub)
    do {
      file = try SocketFile(path: socket)
    } catch {
      throw Failure(error, socket: socket)
    }
    do {
      unixListener = try Listener(
        listening: file.descriptor, filter: PeerFilter(), server: self, limits: limits, adopters: adopters)
    } catch {
      file.unlinkName()
      Glibc.close(file.descriptor)
      throw .failed("the control API's server cannot be started: \(error)")
    }
  }

  /// The refusal of a request on this listener's connections that another server of this process would answer; nil for
  /// other requests.
  func refusalOfAdopted(_ target: String, at listener: Listener) -> ControlError? {
    guard listener === unixListener, adopters.contains(where: { $0.prefixes.contains(where: target.hasPrefix) }) else {
      return nil
    }
    return ControlError(
      .misdirected,
      "this connection is the control API's, as its first request was: ask for this path on a connection of its own")
  }

  private var listeners: [Listener] { [unixListener, web.listener].compactMap { $0 } }

  /// Requests that come from now on are answered with 503.
  func refuseFromNowOn() { isStopping = true }

  // MARK: The runtime folder

  /// Puts back what was removed from the runtime folder: binds the socket again, and writes the token's and the port's
  /// files. Connections that stand go on.
  package func restore() async {
    guard unixListener != nil, !isClosing, !isRestoring else { return }
    isRestoring = true
    defer { isRestoring = false }
    await restoreWeb()
    let file = file
    let fresh = await onWorker { () -> Result<SocketFile, SocketFile.Failure>? in
      guard !file.isNamed else { return nil }
      return Result { () throws(SocketFile.Failure) in try SocketFile(path: file.path) }
    }
    switch fresh {
    case nil: return
    case .failure(let failure)?:
      var reason = "another process listens at \(socket)"
      if case .failed(let sentence) = Failure(failure, socket: socket) { reason = sentence }
      // The next look finds it again.
      if reason != saidOfRestoring { Log.error(.apiNotRestored, ["cause": reason]) }
      saidOfRestoring = reason
    case .success(let fresh)?:
      saidOfRestoring = nil
      do {
        guard !isClosing, let unixListener else { throw ControlError.isStopping }
        try unixListener.listen(on: fresh.descriptor)
        self.file = fresh
        Log.warning(.apiRestored, ["socket": socket, "cause": "its name was removed from the runtime folder"])
      } catch {
        fresh.unlinkName()
        Glibc.close(fresh.descriptor)
      }
    }
  }

  // MARK: The end

  /// Takes no more requests, gives those under way `grace` to get their answers (the rest are told that the control
  /// plane stops), and removes the socket. Safe to call twice.
  package func close(grace: Duration = .milliseconds(500)) async {
    guard unixListener != nil, !isClosing else { return }
    isClosing = true
    isStopping = true
    // The name goes first: a client that connects from now on finds no control plane.
    file.unlinkName()
    for listener in listeners { listener.shut() }
    feed.close()
    hub.end()
    for listener in listeners { listener.turn() }
    if !listeners.allSatisfy(\.isIdle) { await drain(within: grace) }
    for listener in listeners {
      listener.dismiss()
      listener.end()
    }
    unixListener = nil
    web.listener = nil
  }

  private func drain(within grace: Duration) async {
    var limit: LoopTimer?
    var over: (() -> Void)?
    await withCheckedContinuation { continuation in
      over = {
        over = nil
        continuation.resume()
      }
      let listeners = listeners
      for listener in listeners { listener.drained = { if listeners.allSatisfy(\.isIdle) { over?() } } }
      limit = try? LoopTimer(on: .dispatch) { DispatchLoop.assumeIsolated { over?() } }
      if let limit { limit.start(after: grace) } else { over?() }
    }
    for listener in listeners { listener.drained = nil }
    limit?.close()
  }
}
