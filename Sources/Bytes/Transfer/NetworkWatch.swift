import CLinux
import Core
import EventLoop
import Glibc
import Telemetry

/// Tells that connections from before may be dead: the machine's network changed, or the machine slept. If the kernel
/// gives no socket to watch the network by (EPERM, EMFILE), it goes on with the clocks alone. `HTTPClient` owns it
/// while it has connections; it reads a netlink socket and the clocks, on the transfer loop.
@TransferLoop
final class NetworkWatch {
  /// Changes come in swarms.
  private static let pause = Duration.milliseconds(500)

  private let changed: () -> Void
  private let clocks: () -> Clocks
  private var sleep: SleepDetector
  private var descriptor: Int32
  private var poll: LoopPoll?
  private var timer: LoopTimer?

  /// - Parameters:
  ///   - descriptor: becomes readable with each change; this closes it. -1: there is none.
  ///   - changed: called on the transfer loop, outside of libcurl.
  init(
    descriptor: Int32 = clinux_watch_network(), clocks: @escaping () -> Clocks = Clocks.now,
    changed: @escaping () -> Void
  ) {
    self.descriptor = descriptor
    self.clocks = clocks
    self.changed = changed
    sleep = SleepDetector(clocks())
    guard descriptor >= 0 else {
      Log.info(.transferNetworkUnwatched, ["cause": errno])
      return
    }
    poll = try? LoopPoll(descriptor, on: .transfer) { [weak self] _ in self?.readable() }
    timer = try? LoopTimer(on: .transfer) { [weak self] in self?.watch() }
    watch()
  }

  isolated deinit { close() }

  func close() {
    poll?.close()
    timer?.close()
    (poll, timer) = (nil, nil)
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  /// Whenever something is sent, and from time to time while something is on its way.
  func lookAtClocks() { if sleep.look(clocks()) { tell("sleep") } }

  private func watch() {
    guard timer != nil else { return close() }
    poll?.start(.readable)
  }

  private func readable() {
    let count = clinux_drain_network(descriptor)
    guard count >= 0 else { return close() }
    guard count > 0 else { return }
    poll?.stop()
    timer?.start(after: Self.pause)
    tell("network")
  }

  private func tell(_ reason: String) {
    Log.info(.transferShaken, ["cause": reason])
    changed()
  }
}

/// The clock that stands while the machine is suspended, and the one that does not.
struct Clocks {
  var awake: Moment
  var always: Moment

  static func now() -> Clocks { Clocks(awake: moment(CLOCK_MONOTONIC), always: moment(CLOCK_BOOTTIME)) }

  private static func moment(_ clock: clockid_t) -> Moment {
    var time = timespec()
    clock_gettime(clock, &time)
    return Moment(nanoseconds: UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec))
  }
}

/// Whether the machine slept between two looks. A pure value.
struct SleepDetector {
  private static let shortest = Duration.seconds(1)
  private var ahead: Duration

  init(_ clocks: Clocks) { ahead = clocks.always - clocks.awake }

  mutating func look(_ clocks: Clocks) -> Bool {
    let before = ahead
    ahead = clocks.always - clocks.awake
    return ahead - before >= Self.shortest
  }
}
