import ControlRoutes
import Core
import EventLoop

/// Asks the sources of events a few times a second while there are clients, and publishes the changes. `ControlServer`
/// owns the feed, which owns the timer of the looks, on the dispatch loop; the state is the sources'.
@DispatchLoop
final class EventFeed {
  private static let period: Duration = .milliseconds(250)
  /// Looks between two of what changes slowly.
  private static let slowly = 4

  /// A source, which is asked for what changes slowly once at a time: one whose answer takes long delays no other.
  @DispatchLoop
  private final class Watch {
    let source: any EventSource
    private var isLooking = false

    init(_ source: any EventSource) { self.source = source }

    func lookSlowly(for hub: EventHub) {
      guard !isLooking else { return }
      isLooking = true
      Task { @DispatchLoop in
        await source.lookSlowly(EventSink { hub.publish($0, $1) })
        isLooking = false
        hub.flush()
      }
    }
  }

  private let watches: [Watch]
  private let hub: EventHub
  private var timer: LoopTimer?
  private var looks = 0
  private var isLooking = false

  init(sources: [any EventSource], hub: EventHub) {
    watches = sources.map { Watch($0) }
    self.hub = hub
    hub.onAudience = { [weak self] isThere in self?.setAudience(isThere) }
  }

  func close() {
    timer?.close()
    timer = nil
  }

  private func setAudience(_ isThere: Bool) {
    guard isThere else {
      timer?.stop()
      return
    }
    if timer == nil {
      timer = try? LoopTimer(on: .dispatch) { [weak self] in DispatchLoop.assumeIsolated { self?.look() } }
    }
    for watch in watches { watch.source.begin() }
    // The first look also publishes changes from the time without clients, for clients that come back with the number
    // of their last event.
    timer?.start(after: .zero, every: Self.period)
  }

  private func look() {
    // The last look may not be over.
    guard !isLooking else { return }
    isLooking = true
    // The first look of all tells nothing: the first client gets a snapshot.
    let sink = looks == 0 ? EventSink(nil) : EventSink { [hub] in hub.publish($0, $1) }
    Task { @DispatchLoop in
      for watch in watches {
        while watch.source.look(sink) {
          hub.flush()
          await SliceTurns.pause()
        }
      }
      hub.flush()
      if looks % Self.slowly == 0 { for watch in watches { watch.lookSlowly(for: hub) } }
      looks += 1
      isLooking = false
    }
  }
}
