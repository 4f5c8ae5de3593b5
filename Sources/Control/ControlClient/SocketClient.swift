import CCurl
import ControlModel
import Core
import Glibc

/// Asks the control plane: one request at a time, on its Unix socket. It is a value without a connection of its own: a
/// call makes one, and waits for the answer on the caller's thread.
package struct SocketClient: Sendable {
  package static var version: String { Version.current }

  /// The party whose answer a request may have to wait for.
  package enum Waiting: Sendable {
    /// The control plane alone, which answers at once.
    case controlPlane
    /// MediaHub or a disk behind it, for which the control plane has its own deadlines: as long as it lives, we wait.
    case others
  }

  /// Absolute.
  package let socket: String
  /// A control plane that says nothing for so long does not answer.
  package var patience: Duration = .seconds(10)
  package var clock: any TimeSource = SystemClock()

  /// - Throws: `usage` for a path that no socket can have.
  package init(socket: String) throws(ClientFailure) {
    guard socket.utf8.count < 108 else {
      throw ClientFailure(
        .usage, "the path \(socket) is too long for a socket; choose a shorter runtime folder (FSMVP_RUNTIME_DIR)")
    }
    self.socket = socket
  }

  /// The JSON of a successful answer; a failure is the sentence of the API's error.
  /// - Parameter tick: called a few times a second while it takes.
  package func send(
    _ method: String, _ path: [String], query: [(String, String)] = [], body: [UInt8]? = nil,
    waiting: Waiting = .controlPlane,
    tick: (Moment) -> Void = { _ in }
  ) throws(ClientFailure) -> [UInt8] {
    var target = "/api/v1/" + path.map(PercentEncoding.encode).joined(separator: "/")
    if !query.isEmpty { target += "?" + query.map { "\($0)=\(PercentEncoding.encode($1))" }.joined(separator: "&") }
    return try send(method, target: target, body: body, waiting: waiting, tick: tick).body
  }

  /// The staged items in parts, by order of staging; each is a JSON array.
  /// - Parameter take: false ends it.
  package func staged(tick: (Moment) -> Void = { _ in }, take: ([UInt8]) throws(ClientFailure) -> Bool)
    throws(ClientFailure)
  {
    var target: String? = "/api/v1/staged?limit=\(Self.part)"
    while let this = target {
      let (body, next) = try send("GET", target: this, body: nil, waiting: .controlPlane, tick: tick)
      // A part that leads to itself would be asked for without end.
      target = next == this ? nil : next
      guard try take(body) else { return }
    }
  }

  /// Items of a part.
  private static let part = 500

  private func send(
    _ method: String, target: String, body: [UInt8]?, waiting: Waiting, tick: (Moment) -> Void
  ) throws(ClientFailure) -> (body: [UInt8], next: String?) {
    let outcome = try answer(method, target: target, body: body, waiting: waiting, tick: tick)
    if case .answered(let status, let body, let next) = outcome, (200..<300).contains(status) { return (body, next) }
    throw failure(outcome)
  }

  /// The answer, whatever its status.
  func answer(
    _ method: String, target: String, body: [UInt8]?, waiting: Waiting = .controlPlane, tick: (Moment) -> Void
  ) throws(ClientFailure) -> APITransfer.Outcome {
    let deadline = clock.now() + Self.restoring
    while true {
      let outcome = try outcome(method, target, body: body, waiting: waiting, tick: tick)
      // A control plane that starts has no socket yet, and one whose socket was removed binds it again.
      guard case .unconnected = outcome, let pid = holder, clock.now() < deadline, kill(pid, 0) == 0 || errno == EPERM
      else { return outcome }
      usleep(50_000)
      tick(clock.now())
    }
  }

  /// How long a control plane that holds the runtime folder may have no socket there.
  private static let restoring: Duration = .seconds(3)

  /// The control plane that holds the socket's folder.
  private var holder: Int32? { socket.lastIndex(of: "/").flatMap { RuntimeHolder.locker(of: String(socket[..<$0])) } }

  /// The same, decoded; for tables.
  package static func decode<Value: Decodable>(_ type: Value.Type, from body: [UInt8]) throws(ClientFailure) -> Value {
    do {
      return try ControlJSON.decode(type, from: body)
    } catch {
      throw ClientFailure(
        .failed,
        "the control plane's answer is not understood: if it is of another version (this is \(version)), `fsmvp "
          + "reload` makes it the one on disk"
      )
    }
  }

  /// Whether a control plane says anything within `patience`, were it that it stops.
  package func isAnswered() -> Bool {
    if case .answered = try? outcome("GET", "/api/v1/status", body: nil, waiting: .controlPlane, tick: { _ in }) {
      return true
    }
    return false
  }

  // MARK: Waiting

  private func outcome(
    _ method: String, _ target: String, body: [UInt8]?, waiting: Waiting, tick: (Moment) -> Void
  ) throws(ClientFailure) -> APITransfer.Outcome {
    guard let multi = curl_multi_init(),
      let transfer = APITransfer(method: method, target: target, body: body, socket: socket)
    else {
      throw ClientFailure(.failed, "libcurl cannot be used")
    }
    var wait = Wait(multi: multi, transfer: transfer, client: self, isLong: false, sign: clock.now())
    if case .others = waiting { wait.isLong = true }
    defer { wait.end() }
    return try wait.run(tick)
  }

  /// A request under way, and beside it, while it takes long, one that asks whether the control plane still lives.
  private struct Wait {
    let multi: UnsafeMutableRawPointer
    let transfer: APITransfer
    let client: SocketClient
    var isLong: Bool
    var probe: APITransfer?
    /// When the control plane last said something, or was first asked.
    var sign: Moment

    mutating func run(_ tick: (Moment) -> Void) throws(ClientFailure) -> APITransfer.Outcome {
      curl_multi_add_handle(multi, UnsafeMutableRawPointer(transfer.easy))
      while true {
        var running: Int32 = 0
        guard curl_multi_perform(multi, &running) == CURLM_OK else {
          throw ClientFailure(.failed, "libcurl cannot be used")
        }
        var code = CURLE_OK
        var finished: UnsafeMutableRawPointer?
        while ccurl_next_finished(multi, &finished, &code) {
          if let finished, OpaquePointer(finished) == transfer.easy { return transfer.outcome(code) }
          if code == CURLE_OK { sign = client.clock.now() }
          endProbe()
        }
        let now = client.clock.now()
        tick(now)
        let silence = now - sign
        guard silence < client.patience else {
          let seconds = Int(client.patience.seconds)
          throw ClientFailure(
            .failed,
            "the control plane does not answer (waited \(seconds) s at \(client.socket)); stop its process and start "
              + "`fsmvp run` again"
          )
        }
        if isLong, probe == nil, silence > client.patience / 4 { startProbe() }
        curl_multi_poll(multi, nil, 0, 200, nil)
      }
    }

    private mutating func startProbe() {
      probe = APITransfer(method: "GET", target: "/api/v1/status", body: nil, socket: client.socket)
      if let probe { curl_multi_add_handle(multi, UnsafeMutableRawPointer(probe.easy)) }
    }

    private mutating func endProbe() {
      if let probe { curl_multi_remove_handle(multi, UnsafeMutableRawPointer(probe.easy)) }
      probe = nil
    }

    mutating func end() {
      endProbe()
      curl_multi_remove_handle(multi, UnsafeMutableRawPointer(transfer.easy))
      curl_multi_cleanup(multi)
    }
  }

  // MARK: Failures

  /// The failure that an unsuccessful outcome means.
  func failure(_ outcome: APITransfer.Outcome) -> ClientFailure {
    switch outcome {
    case .answered(let status, let body, _): Self.failure(status: status, body: body)
    case .unconnected(let error): unconnected(error)
    case .broken(let words):
      ClientFailure(
        .failed,
        "the control plane ended the connection without an answer (\(words)); `fsmvp status` tells whether it runs")
    }
  }

  private func unconnected(_ error: Int32) -> ClientFailure {
    switch error {
    case EACCES, EPERM:
      ClientFailure(
        .failed, "the control plane's socket \(socket) may not be used; run fsmvp as the user who started `fsmvp run`")
    case EAGAIN: ClientFailure(.failed, "the control plane at \(socket) takes no more connections; try again")
    default:
      if let holder {
        ClientFailure(
          .failed,
          "a control plane (pid \(holder)) runs, but nothing answers at its socket \(socket): it is starting or "
            + "stopping, or it hangs; "
            + "try again, or end it with `kill \(holder)` and start `fsmvp run` again")
      } else {
        ClientFailure(.noControlPlane, "no control plane is running (socket \(socket)); start it with `fsmvp run`")
      }
    }
  }

  private static func failure(status: Int, body: [UInt8]) -> ClientFailure {
    guard let error = try? ControlJSON.decode(ControlErrorBody.self, from: body).error else {
      return ClientFailure(
        .failed, "the control plane answered with HTTP status \(status); is it of another version? (this is \(version))"
      )
    }
    return ClientFailure(.refused(code: error.code), error.message)
  }
}
