import ControlModel
import Core
import EventLoop
import Glibc
import Telemetry

/// How 127.0.0.1 is listened to.
package struct WebOptions: Sendable {
  package enum Opening: Sendable {
    case never
    /// From the first login on, over restarts too: as long as the runtime folder stands.
    case onDemand
    case fromStart
  }

  package var opening: Opening
  /// Of token and port; absolute.
  package var runtimeFolder: String
  /// 0: the last one that was used, where it is free, else any.
  package var port: Int
  package var assets: PageAssets
  var limits = Door.Limits(connections: 160, visitors: Visitors.Limits())

  package init(opening: Opening, runtimeFolder: String, port: Int = 0, assets: PageAssets = PageAssets()) {
    self.opening = opening
    self.runtimeFolder = runtimeFolder
    self.port = port
    self.assets = assets
  }
}

/// What there is of the door on 127.0.0.1.
struct WebState {
  var door: Door?
  var gate: WebGate?
  var codes = LoginCodes()
  var isOpening = false
  /// Who wants it, too, while it is opened.
  var waiting: [CheckedContinuation<Result<WebGate, ControlError>, Never>] = []
}

extension ControlServer {
  /// `http://127.0.0.1:PORT`, while it is listened to.
  package var webAddress: String? { web.gate?.address }

  /// Listens on 127.0.0.1 where that is wanted before anybody asks. What keeps it from it is in the log, and a login tries again.
  package func openWebAtStart() async {
    switch webOptions.opening {
    case .never: return
    case .onDemand:
      let folder = webOptions.runtimeFolder
      guard await onWorker({ WebPlace.wasUsed(in: folder) }) else { return }
    case .fromStart: break
    }
    if case .failure(let error) = await openWeb() { Log.error("web.failed", ["reason": error.message]) }
  }

  // MARK: Logging in

  /// Makes the link that opens the page, and opens the door for it.
  func login() async -> ControlAnswer {
    guard webOptions.opening != .never else {
      return ControlAnswer(
        ControlError(.forbidden, "this control plane has no page: its configuration says `web = false`; remove that and run `fsmvp reload`")
      )
    }
    switch await openWeb() {
    case .failure(let error): return ControlAnswer(error)
    case .success(let gate):
      let code = web.codes.make(at: SystemClock().now())
      Log.info("web.login")
      return ControlAnswer(
        LoginReply(url: "\(gate.address)/login?code=\(code.reveal())", expiresSeconds: Int(LoginCodes.lifetime.seconds)), status: 201)
    }
  }

  /// The link was opened: a good code becomes a session.
  func enter(_ code: String, isHead: Bool, at door: Door) -> ControlAnswer {
    guard let gate = door.gate as? WebGate else { return ControlAnswer(ControlError(.noSuchRoute, "the Unix socket needs no login")) }
    let now = SystemClock().now()
    // Who only looks does not use it up.
    guard isHead ? web.codes.knows(code, at: now) : web.codes.use(code, at: now) else {
      return webOptions.assets.signedOut(ControlError(.unauthorized, "this link was used already, or is too old: `fsmvp ui` makes another"))
    }
    guard let session = gate.newSession() else { return ControlAnswer(ControlError(.failed, "libcrypto cannot sign a session")) }
    var answer = webOptions.assets.signedIn(session: session)
    if isHead { answer.headers["Set-Cookie"] = nil }
    return answer
  }

  // MARK: Opening

  private func openWeb() async -> Result<WebGate, ControlError> {
    if let gate = web.gate { return .success(gate) }
    if web.isOpening { return await withCheckedContinuation { web.waiting.append($0) } }
    web.isOpening = true
    let result = await makeWebDoor()
    web.isOpening = false
    for continuation in web.waiting { continuation.resume(returning: result) }
    web.waiting = []
    return result
  }

  private func makeWebDoor() async -> Result<WebGate, ControlError> {
    let (folder, port) = (webOptions.runtimeFolder, webOptions.port)
    switch await onWorker({ WebPlace.make(in: folder, port: port) }) {
    case .failure(let error): return .failure(error)
    case .success(let place):
      for note in place.notes { Log.warning("web", ["note": note]) }
      let gate = WebGate(port: place.port, key: SessionKey(token: place.token), tellsOwners: place.tellsOwners)
      do {
        guard !isClosing else { throw ControlError.isStopping }
        web.door = try Door(listening: place.descriptor, gate: gate, server: self, limits: webOptions.limits)
      } catch {
        Glibc.close(place.descriptor)
        return .failure(error as? ControlError ?? ControlError(.failed, "the page's server cannot be started: \(error)"))
      }
      web.gate = gate
      Log.info("web.open", ["address": gate.address])
      return .success(gate)
    }
  }

  private func onWorker<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in EventLoop.dispatch.background(body) { continuation.resume(returning: $0) } }
  }
}
