import CLinux
import ControlModel
import Core
import Glibc
import Syntax
import TerminalUI

/// `fsmvp reload`: asks, then waits until the same process runs the new program and its shims are new. It asks the
/// control API again and again meanwhile, on the main thread, and keeps nothing.
enum ReloadVerb {
  private static let patience: Duration = .seconds(30)

  static func run(isJSON: Bool, client: APIClient, output: Terminal) throws(CommandFailure) {
    let accepted = try APIClient.decode(
      ReloadReply.self, from: try client.send("POST", ["reload"], waiting: .others("looking at the programs on disk")))
    let (status, body) = try waitForEnd(of: accepted, client: client)
    if isJSON { return try output.print(json: body) }
    try output.print(text(status) + "\n")
  }

  static func text(_ status: ControlStatus) -> String {
    "reloaded: control plane pid \(status.pid), version \(status.version); shim pid \(status.shim.pid), epoch "
      + "\(status.shim.epoch)"
  }

  /// The reload's progress, as a status tells it.
  enum Progress: Equatable {
    case underWay
    case done
    case failed(String)

    init(_ status: ControlStatus, of reply: ReloadReply) {
      guard let reload = status.reload, reload.count >= reply.count else {
        self = .underWay
        return
      }
      switch reload.state {
      case .replacing: self = .underWay
      case .done: self = .done
      case .failed: self = .failed(reload.reason ?? "the control plane does not say why")
      }
    }
  }

  private static func waitForEnd(of reply: ReloadReply, client: APIClient) throws(CommandFailure) -> (
    ControlStatus, [UInt8]
  ) {
    let process = clinux_pidfd_open(Int32(clamping: reply.pid))
    defer { if process >= 0 { close(process) } }
    let clock = SystemClock()
    let started = clock.now()
    var progress = ProgressLine("reloading", since: started)
    defer { progress.clear() }
    var client = client
    while clock.now() - started < patience {
      progress.tick(clock.now())
      client.client.patience = min(.seconds(2), patience - (clock.now() - started))
      // No socket, or a connection cut: in between two images.
      if let body = try? client.send("GET", ["status"]) {
        let status = try APIClient.decode(ControlStatus.self, from: body)
        switch Progress(status, of: reply) {
        case .done: return (status, body)
        case .failed(let reason): throw CommandFailure(.failed, reason)
        case .underWay: break
        }
      } else if hasEnded(process) {
        throw CommandFailure(
          .failed,
          "the control plane (pid \(reply.pid)) ended while it was replaced; its log says why, and `fsmvp run` takes "
            + "its shims over"
        )
      }
      usleep(50_000)
    }
    throw CommandFailure(
      .failed,
      "the reload has begun, but is not done after \(Int(patience.seconds)) s; `fsmvp status` and the log of `fsmvp "
        + "run` say more"
    )
  }

  private static func hasEnded(_ process: Int32) -> Bool {
    var poll = pollfd(fd: process, events: Int16(POLLIN), revents: 0)
    return process < 0 || Glibc.poll(&poll, 1, 0) > 0
  }
}
