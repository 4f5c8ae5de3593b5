import CHTTPD
import Core
import Glibc

/// "Something changed", for threads that wait in `poll`. Fired at most once, and it stays fired: its one byte is never
/// read, so that every waiter sees it whenever it comes. A thread that waits again takes the successor. `Hub.State` has
/// the current one; it owns two descriptors.
final class Signal: Sendable {
  private let readEnd: Int32
  private let writeEnd: Int32

  init() {
    var ends: [Int32] = [-1, -1]
    // A socket pair, not a pipe: it is close-on-exec from the start without the GNU extension that Swift does not see.
    if socketpair(AF_UNIX, CHTTPD_STREAM, 0, &ends) != 0 { ends = [-1, -1] }
    (readEnd, writeEnd) = (ends[0], ends[1])
  }

  deinit {
    if readEnd >= 0 { close(readEnd) }
    if writeEnd >= 0 { close(writeEnd) }
  }

  func fire() {
    var byte: UInt8 = 1
    _ = write(writeEnd, &byte, 1)
  }

  enum Wake { case signalled, timedOut, peerGone }

  /// Until the signal fires, the time comes, or the peer hangs up. A connection's thread that slept without looking at
  /// its socket would hold its descriptor for as long as the sleep lasts, long after the client of a stalled answer
  /// gave up.
  func wait(peer: Int32, until deadline: Moment?) -> Wake {
    // Linux' number; the header hides the name without _GNU_SOURCE.
    let hangUp: Int16 = 0x2000
    return wait(for: hangUp, on: peer, until: deadline)
  }

  /// True where `listening` has a connection to accept; false where something changed, or the time came.
  func wait(listening: Int32, until deadline: Moment?) -> Bool {
    wait(for: Int16(POLLIN), on: listening, until: deadline) == .peerGone
  }

  /// `.peerGone` stands for any of `events`. A negative descriptor has none.
  private func wait(for events: Int16, on descriptor: Int32, until deadline: Moment?) -> Wake {
    let clock = SystemClock()
    while true {
      var timeout: Int32 = -1
      if let deadline {
        let left = deadline - clock.now()
        if left.nanoseconds <= 0 { return .timedOut }
        timeout = Int32(clamping: left.milliseconds)
      }
      var watched = [
        pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0), pollfd(fd: descriptor, events: events, revents: 0),
      ]
      let ready = poll(&watched, 2, timeout)
      if ready < 0, errno != EINTR { return .peerGone }
      if ready > 0 {
        if watched[1].revents != 0 { return .peerGone }
        if watched[0].revents != 0 { return .signalled }
      }
    }
  }
}

/// To the nanosecond, as far as the kernel keeps its word; `poll` knows milliseconds only, which a token bucket of 5 ms
/// shows.
func sleep(until deadline: Moment) {
  var time = timespec(
    tv_sec: Int(deadline.nanoseconds / 1_000_000_000), tv_nsec: Int(deadline.nanoseconds % 1_000_000_000))
  while clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nil) == EINTR {}
}
