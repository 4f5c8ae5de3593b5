import ControlModel
import Core
import Syntax
import TerminalUI

/// `fsmvp status`: it prints the control plane's status, as the API reports it. No state is kept.
enum StatusVerb {
  static func run(isJSON: Bool, client: APIClient, output: Terminal) throws(CommandFailure) {
    let body = try client.send("GET", ["status"])
    if isJSON { return try output.print(json: body) }
    try output.print(text(try APIClient.decode(ControlStatus.self, from: body), hasColours: output.hasColours))
  }

  static func text(_ status: ControlStatus, hasColours: Bool = false) -> String {
    let shim = status.shim
    var rows: [(String, String)] = [
      (
        "control plane",
        "pid \(status.pid), version \(status.version), up \(time(status.uptimeSeconds))" + reload(status.reload)
      ),
      (
        "shim",
        state(shim) + (shim.pid == 0 ? "" : ", pid \(shim.pid)")
          + ", epoch \(shim.epoch), \(count(shim.restarts, "restart"))"
      ),
      ("standby", shim.standbyPid.map { "pid \($0)" } ?? "none"),
      ("last outage", ShimVerb.outage(shim.lastOutageMilliseconds) ?? "none"),
      ("mount", status.mount),
      ("socket", status.socket),
      ("staged", "\(count(status.staged, "item")), \(count(status.openHandles, "open handle"))"),
      ("fetched", ByteCount.format(status.bytesFetched)),
      ("given to kernel", "\(ByteCount.format(status.bytesServed)), read-ahead included"),
      ("reads", "\(status.readsLeased) answered by the shim alone"),
      (
        "requests",
        "\(status.requestsForwarded) forwarded, \(status.cancelled) cancelled, \(status.slotsFull) without a free slot"
      ),
    ]
    if let rest = status.service?.rest { rows.append(("service", rest)) }
    if let isInhibited = status.sleepInhibited {
      rows.append(("sleep", isInhibited ? "held off, as files are open" : "not held off"))
    }
    if shim.state != .failed, let reason = shim.reason { rows.append(("shim problem", reason)) }
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { name, value in
      let gap = String(repeating: " ", count: width - name.count + 2)
      let line = StyledText(name + gap, .dim) + StyledText(value, name == "shim" ? paint(shim.state) : .plain)
      return line.rendered(hasColours: hasColours) + "\n"
    }.joined()
  }

  /// How a state looks where there are colours.
  static func paint(_ state: ControlStatus.Shim.State) -> StyledText.Paint {
    switch state {
    case .serving: .good
    case .starting, .replacing: .warning
    case .failed: .bad
    }
  }

  private static func state(_ shim: ControlStatus.Shim) -> String {
    shim.state == .failed ? "failed (\(shim.reason ?? "it is not known why"))" : shim.state.rawValue
  }

  private static func reload(_ reload: ControlStatus.Reload?) -> String {
    guard let reload else { return "" }
    return switch reload.state {
    case .done: ", \(count(reload.count, "reload"))"
    case .replacing: ", reloading"
    case .failed: ", reload failed (\(reload.reason ?? "it is not known why"))"
    }
  }

  private static func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

  static func time(_ seconds: Int) -> String {
    switch seconds {
    case ..<60: "\(seconds) s"
    case ..<3600: "\(seconds / 60) min \(seconds % 60) s"
    case ..<86_400: "\(seconds / 3600) h \(seconds % 3600 / 60) min"
    default: "\(seconds / 86_400) d \(seconds % 86_400 / 3600) h"
    }
  }
}
