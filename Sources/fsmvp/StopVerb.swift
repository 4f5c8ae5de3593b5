import CLinux
import ControlAPI
import ControlModel
import Core
import Glibc

/// `fsmvp stop`: asks, then waits for the process to end, so that what comes next finds nothing mounted.
enum StopVerb {
  /// The control plane promises 5 s.
  private static let patience: Duration = .seconds(15)

  static func run(forget: Bool, client: APIClient, output: Terminal) throws(CommandFailure) {
    guard let request = try? ControlJSON.encode(StopRequest(forget: forget)) else {
      throw CommandFailure(.failed, "the request cannot be written as JSON")
    }
    let body = try client.send("POST", ["stop"], body: request, waiting: .others("stopping"))
    try waitForEnd(of: try APIClient.decode(StopReply.self, from: body).pid)
    if output.isTerminal { try output.print("stopped\n") }
  }

  /// - Parameter pid: gone already is as good as ended.
  static func waitForEnd(of pid: Int, patience: Duration = patience) throws(CommandFailure) {
    guard let pid = Int32(exactly: pid), pid > 0 else { return }
    let process = clinux_pidfd_open(pid)
    guard process >= 0 else { return }
    defer { close(process) }
    let started = SystemClock().now()
    var progress = ProgressLine("stopping", since: started)
    defer { progress.clear() }
    while true {
      var poll = pollfd(fd: process, events: Int16(POLLIN), revents: 0)
      if Glibc.poll(&poll, 1, 200) > 0 { return }
      let now = SystemClock().now()
      progress.tick(now)
      guard now - started < patience else {
        throw CommandFailure(.failed, "the control plane (pid \(pid)) has not ended \(Int(patience.seconds)) s after it was asked to stop")
      }
    }
  }
}
