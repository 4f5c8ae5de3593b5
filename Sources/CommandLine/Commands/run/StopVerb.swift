import CLinux
import ControlModel
import Core
import Glibc
import Syntax
import TerminalUI

/// `fsmvp stop`: asks, then waits for the process to end, so that what comes next finds nothing mounted. It waits on
/// the main thread and keeps nothing.
enum StopVerb {
  /// The control plane promises 5 s.
  private static let patience: Duration = .seconds(15)

  static func run(_ order: Command.StopOrder, client: APIClient, output: Terminal) throws(CommandFailure) {
    if !order.isSure, isatty(0) == 1, output.isTerminal {
      guard try mayStop(client: client, output: output) else { throw CommandFailure(.failed, "nothing was stopped") }
    }
    guard let request = try? ControlJSON.encode(StopRequest(forget: order.forgets)) else {
      throw CommandFailure(.failed, "the request cannot be written as JSON")
    }
    let body = try client.send("POST", ["stop"], body: request, waiting: .others("stopping"))
    try waitForEnd(of: try APIClient.decode(StopReply.self, from: body).pid)
    if output.isTerminal { try output.print("stopped\n") }
  }

  // MARK: The question

  /// Says which programs read, and asks; true without a question if none does.
  private static func mayStop(client: APIClient, output: Terminal) throws(CommandFailure) -> Bool {
    let status = try APIClient.decode(ControlStatus.self, from: try client.send("GET", ["status"]))
    guard status.openHandles > 0 else { return true }
    let open = try StagedPages.all(client: client) { $0.openRef > 0 }
    // They were closed meanwhile.
    guard !open.isEmpty else { return true }
    try output.print(question(about: open))
    return isYes(readLine(strippingNewline: true))
  }

  /// Lines listed at most; an upload tool may have thousands of files open.
  private static let mostListed = 10

  /// The files that are open, the programs that read them, and the question.
  static func question(about items: [StagedItem]) -> String {
    let count = items.count == 1 ? "A file is" : "\(items.count) files are"
    var text = "\(count) being read, and the readers will get an error:\n"
    for item in items.prefix(mostListed) {
      text += "  \(DisplayText.printable(item.name)) by \(DisplayText.printable(Watch.readers(item)))\n"
    }
    if items.count > mostListed { text += "  and \(items.count - mostListed) more\n" }
    return text + "Stop all the same? [y/N] "
  }

  /// - Parameter answer: nil is the end of the input.
  static func isYes(_ answer: String?) -> Bool {
    ["y", "yes"].contains((answer ?? "").split(separator: " ").joined(separator: " ").lowercased())
  }

  // MARK: The end

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
        throw CommandFailure(
          .failed, "the control plane (pid \(pid)) has not ended \(Int(patience.seconds)) s after it was asked to stop")
      }
    }
  }
}
