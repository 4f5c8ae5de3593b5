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
  /// The folder of the token's and the port's files; absolute.
  package var runtimeFolder: String
  /// 0: the last one that was used, where it is free, else any.
  package var port: Int
  package var assets: PageAssets
  var limits = Listener.Limits(connections: 160, clients: WebClients.Limits())

  package init(opening: Opening, runtimeFolder: String, port: Int = 0, assets: PageAssets = PageAssets()) {
    self.opening = opening
    self.runtimeFolder = runtimeFolder
    self.port = port
    self.assets = assets
  }
}

/// The state of the page's listener on 127.0.0.1. `ControlServer` owns the value, on the dispatch loop; the files
/// behind it are touched on worker threads (`WebEndpoint`).
struct WebState {
  var listener: Listener?
  var filter: WebFilter?
  /// The token as it stands in its file.
  var token: Redacted<String>?
  var codes = LoginCodes()
  var isOpening = false
  /// Further requests for the listener, which wait while it is opened.
  var waiting: [CheckedContinuation<Result<WebFilter, ControlError>, Never>] = []
}

extension ControlServer {
  /// `http://127.0.0.1:PORT`, while it is listened to.
  package var webAddress: String? { web.filter?.address }

  /// Listens on 127.0.0.1 if the configuration or an earlier use asks for it. A failure is logged, and a login tries
  /// again.
  package func openWebAtStart() async {
    switch webOptions.opening {
    case .never: return
    case .onDemand:
      let folder = webOptions.runtimeFolder
      guard await onWorker({ WebEndpoint.wasUsed(in: folder) }) else { return }
    case .fromStart: break
    }
    if case .failure(let error) = await openWeb() { Log.error(.webFailed, ["cause": error.message]) }
  }

  // MARK: Logging in

  /// Makes the link that opens the page, and opens the listener for it.
  func login() async -> ControlAnswer {
    guard webOptions.opening != .never else {
      return ControlAnswer(
        ControlError(
          .forbidden,
          "this control plane has no page: its configuration says `web = false`; remove that and run `fsmvp reload`")
      )
    }
    switch await openWeb() {
    case .failure(let error): return ControlAnswer(error)
    case .success(let filter):
      let code = web.codes.make(at: SystemClock().now())
      Log.info(.webLogin)
      return ControlAnswer(
        LoginReply(
          url: "\(filter.address)/login?code=\(code.reveal())", expiresSeconds: Int(LoginCodes.lifetime.seconds)),
        status: 201)
    }
  }

  /// The link was opened: a good code becomes a session.
  func enter(_ code: String, isHead: Bool, at listener: Listener) -> ControlAnswer {
    guard let filter = listener.filter as? WebFilter else {
      return ControlAnswer(ControlError(.noSuchRoute, "the Unix socket needs no login"))
    }
    let now = SystemClock().now()
    // HEAD leaves the code unused.
    guard isHead ? web.codes.knows(code, at: now) : web.codes.use(code, at: now) else {
      return webOptions.assets.signedOut(
        ControlError(.unauthorized, "this link was used already, or is too old: `fsmvp ui` makes another"))
    }
    guard let session = filter.newSession() else {
      return ControlAnswer(ControlError(.failed, "libcrypto cannot sign a session"))
    }
    var answer = webOptions.assets.signedIn(session: session)
    if isHead { answer.headers["Set-Cookie"] = nil }
    return answer
  }

  /// The files by which programs find the listener, if they were removed.
  func restoreWeb() async {
    guard let filter = web.filter, let token = web.token else { return }
    let (folder, port) = (webOptions.runtimeFolder, filter.port)
    if let error = await onWorker({ WebEndpoint.restore(in: folder, port: port, token: token) }) {
      Log.error(.webNotRestored, ["cause": error])
    }
  }

  // MARK: Opening

  private func openWeb() async -> Result<WebFilter, ControlError> {
    if let filter = web.filter { return .success(filter) }
    if web.isOpening { return await withCheckedContinuation { web.waiting.append($0) } }
    web.isOpening = true
    let result = await makeWebListener()
    web.isOpening = false
    for continuation in web.waiting { continuation.resume(returning: result) }
    web.waiting = []
    return result
  }

  private func makeWebListener() async -> Result<WebFilter, ControlError> {
    let (folder, port) = (webOptions.runtimeFolder, webOptions.port)
    switch await onWorker({ WebEndpoint.make(in: folder, port: port) }) {
    case .failure(let error): return .failure(error)
    case .success(let endpoint):
      for note in endpoint.notes { Log.warning(.web, ["cause": note]) }
      let filter = WebFilter(
        port: endpoint.port, key: SessionKey(token: endpoint.token), tellsOwners: endpoint.tellsOwners)
      do {
        guard !isClosing else { throw ControlError.isStopping }
        web.listener = try Listener(
          listening: endpoint.descriptor, filter: filter, server: self, limits: webOptions.limits)
      } catch {
        Glibc.close(endpoint.descriptor)
        return .failure(
          error as? ControlError ?? ControlError(.failed, "the page's server cannot be started: \(error)"))
      }
      web.filter = filter
      web.token = endpoint.token
      Log.info(.webOpen, ["address": filter.address])
      return .success(filter)
    }
  }
}
