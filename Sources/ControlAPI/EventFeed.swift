import ControlModel
import Core
import EventLoop
import Staging

/// Looks at the control plane a few times a second while somebody listens, and publishes what has changed.
@DispatchLoop
final class EventFeed {
  private static let period: Duration = .milliseconds(250)
  /// Looks between two of what changes slowly.
  private static let slowly = 4

  private let operations: any ControlOperations
  private let hub: EventHub
  private var timer: LoopTimer?
  private var looks = 0
  private var status: ControlStatus?
  private var cache: CacheReport?
  private var isAskingForCache = false
  /// Whether items moved since the cache was last looked at.
  private var hasMoved = true
  private var failures: [String: String] = [:]
  private var times: ReadTimes?

  init(operations: any ControlOperations, hub: EventHub) {
    self.operations = operations
    self.hub = hub
    hub.onAudience = { [weak self] isThere in self?.setAudience(isThere) }
  }

  /// The last report that is known, for snapshots.
  var lastCache: CacheReport? { cache }

  func close() {
    timer?.close()
    timer = nil
  }

  private func setAudience(_ isThere: Bool) {
    guard isThere else {
      timer?.stop()
      return
    }
    if timer == nil { timer = try? LoopTimer(on: .dispatch) { [weak self] in DispatchLoop.assumeIsolated { self?.look() } } }
    times = operations.readTimes()
    // What changed while nobody listened is for those who come back with the number of their last event.
    timer?.start(after: .zero, every: Self.period)
  }

  private func look() {
    let isFirst = hub.next == 1
    let look = operations.look()
    // The first listener of all gets a snapshot.
    if !isFirst {
      for id in look.gone { hub.publish(.gone(ItemGone(id: id))) }
      for item in look.changed { hub.publish(.item(item)) }
    }
    for notice in notices(look) where !isFirst { hub.publish(.notice(notice)) }
    if !look.changed.isEmpty || !look.gone.isEmpty { hasMoved = true }
    if looks % Self.slowly == 0 { lookAtTheSlow() }
    looks += 1
    hub.flush()
  }

  private func lookAtTheSlow() {
    let status = operations.glance()
    if let before = self.status {
      for notice in Self.notices(before, status) { hub.publish(.notice(notice)) }
    }
    // The first of all, too, so that there is a number to come back with.
    if self.status.map({ !status.isAsGood(as: $0) }) ?? true { hub.publish(.status(status)) }
    self.status = status
    let now = operations.readTimes()
    if let now, let times, let event = now.since(times) { hub.publish(.latency(event)) }
    times = now
    if hasMoved || cache == nil || looks % (20 * Self.slowly) == 0 { askForCache() }
  }

  /// Its figures come from the disk's thread.
  private func askForCache() {
    guard !isAskingForCache else { return }
    isAskingForCache = true
    hasMoved = false
    Task { @DispatchLoop in
      let report = try? await operations.cache()
      isAskingForCache = false
      guard var report else { return }
      report.items = []
      guard report != cache else { return }
      cache = report
      hub.publish(.cache(report))
      hub.flush()
    }
  }

  // MARK: Notices

  private func notices(_ look: ItemsLook) -> [Notice] {
    for id in look.gone { failures[id] = nil }
    return look.changed.compactMap { item in
      let before = failures[item.id]
      failures[item.id] = item.failure
      guard let failure = item.failure, failure != before else { return nil }
      return Notice(.error, code: "item_failed", "\(item.name): \(failure)", id: item.id)
    }
  }

  static func notices(_ before: ControlStatus, _ now: ControlStatus) -> [Notice] {
    var notices: [Notice] = []
    if now.shim.state == .failed, before.shim.state != .failed {
      notices.append(
        Notice(.error, code: "shim_failed", "The mount is lost: \(now.shim.reason ?? "it is not known why"). Start `fsmvp run` again."))
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
