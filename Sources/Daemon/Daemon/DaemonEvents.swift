import ControlModel
import ControlRoutes
import Core

/// The events of the control plane itself: its status, the times of reads, and notices about its shims and reloads. The
/// group of the daemon's routes owns it; it keeps only what was told last, on the dispatch loop.
@DispatchLoop
final class DaemonEvents: EventSource {
  private let operations: any DaemonOperations
  private var status: ControlStatus?
  private var times: ReadTimes?

  init(_ operations: any DaemonOperations) { self.operations = operations }

  func snapshot() -> [SnapshotPart] { [SnapshotPart("status", operations.glance())] }

  func begin() { times = operations.readTimes() }

  func look(_ sink: EventSink) -> Bool { false }

  func lookSlowly(_ sink: EventSink) async {
    guard let status = try? await operations.status() else { return }
    if let before = self.status {
      for notice in Self.notices(before, status) { sink.publish(.notice(notice)) }
    }
    // The first of all, too, so that there is a number to come back with.
    if self.status.map({ !status.isAsGood(as: $0) }) ?? true { sink.publish(.status(status)) }
    self.status = status
    let now = operations.readTimes()
    if let now, let times, let event = now.since(times) { sink.publish(.latency(event)) }
    times = now
  }

  static func notices(_ before: ControlStatus, _ now: ControlStatus) -> [Notice] {
    var notices: [Notice] = []
    if now.shim.state == .failed, before.shim.state != .failed {
      notices.append(
        Notice(
          .error, code: "shim_failed",
          "The mount is lost: \(now.shim.reason ?? "it is not known why"). Start `fsmvp run` again."))
    } else if now.shim.epoch != before.shim.epoch, before.shim.epoch > 0 {
      let outage = now.shim.lastOutageMilliseconds.map { "; nobody served for \(($0 * 10).rounded() / 10) ms" } ?? ""
      notices.append(Notice(.info, code: "shim_replaced", "The process that serves the mount was replaced\(outage)."))
    }
    if let reload = now.reload, reload != before.reload, reload.state != .replacing {
      notices.append(
        reload.state == .done
          ? Notice(.info, code: "reloaded", "The programs were replaced by those on disk.")
          : Notice(.error, code: "reload_failed", "The reload failed: \(reload.reason ?? "it is not known why")."))
    }
    return notices
  }
}

extension ControlStatus {
  /// Whether nothing but the time has changed.
  fileprivate func isAsGood(as other: ControlStatus) -> Bool {
    var other = other
    other.uptimeSeconds = uptimeSeconds
    return self == other
  }
}
