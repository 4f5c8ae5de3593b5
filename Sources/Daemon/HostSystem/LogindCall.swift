import CSystemd
import Core
import EventLoop
import Glibc

/// One question to systemd's logind for an inhibitor, on a connection of its own to the system's bus that the dispatch
/// loop serves by its descriptor: a bus or logind that hangs blocks nothing here. `SleepInhibitor` owns it until the
/// answer is there.
@DispatchLoop
final class LogindCall {
  struct Failure: Error { let reason: String }
  typealias Answer = Result<Int32, Failure>

  /// From the connection to the answer. It is no urgent matter.
  private static let patience: Duration = .seconds(20)

  private var bus: OpaquePointer?
  private var poll: LoopPoll?
  private var timer: LoopTimer?
  private var answer: Answer?
  private var done: ((Answer) -> Void)?

  /// - Parameter done: called once, in a later turn of the loop, with a descriptor that is the receiver's to close; not
  ///   where this is forgotten before.
  init(what: String, who: String, why: String, mode: String, done: @escaping (Answer) -> Void) {
    self.done = done
    // Out of the call: it may fail at once.
    DispatchLoop.post { [weak self] in
      guard let self else { return }
      self.begin(what: what, who: who, why: why, mode: mode)
      self.turn()
    }
  }

  private func begin(what: String, who: String, why: String, mode: String) {
    var result = sd_bus_open_system(&bus)
    if result >= 0 {
      let context = Unmanaged.passUnretained(self).toOpaque()
      result = csystemd_inhibit(
        bus, what, who, why, mode, UInt64(Self.patience.nanoseconds / 1000),
        { @Sendable answer, context, _ in
          guard let context else { return 0 }
          let call = Unmanaged<LogindCall>.fromOpaque(context).takeUnretainedValue()
          nonisolated(unsafe) let answer = answer
          DispatchLoop.assumeIsolated { call.answered(answer) }
          return 0
        }, context)
    }
    let descriptor = result >= 0 ? sd_bus_get_fd(bus) : result
    guard descriptor >= 0 else { return fail("the system's bus cannot be used", descriptor) }
    do throws(LoopError) {
      poll = try LoopPoll(descriptor, on: .dispatch) { [weak self] _ in DispatchLoop.assumeIsolated { self?.turn() } }
      timer = try LoopTimer(on: .dispatch) { [weak self] in DispatchLoop.assumeIsolated { self?.turn() } }
    } catch {
      answer = .failure(Failure(reason: "the system's bus cannot be waited for: \(error)"))
    }
  }

  /// The bus's answer, an error of its own among them; called from inside sd_bus_process.
  private func answered(_ message: OpaquePointer?) {
    if let refusal = csystemd_refusal(message) {
      answer = .failure(Failure(reason: "logind: " + String(cString: refusal)))
      return
    }
    let descriptor = csystemd_inhibitor(message)
    guard descriptor >= 0 else { return fail("logind's answer is not understood", descriptor) }
    answer = .success(descriptor)
  }

  private func fail(_ what: String, _ result: Int32) {
    answer = .failure(Failure(reason: "\(what): \(String(cString: strerror(-result)))"))
  }

  /// Does what there is to do on the connection, and says what to wake up for.
  private func turn() {
    while answer == nil {
      let result = sd_bus_process(bus, nil)
      if result < 0, answer == nil { fail("the system's bus has gone", result) }
      if result <= 0 { break }
    }
    guard answer == nil else { return finish() }
    let events = sd_bus_get_events(bus)
    var wanted: LoopPoll.Events = []
    if events & POLLIN != 0 { wanted.insert(.readable) }
    if events & POLLOUT != 0 { wanted.insert(.writable) }
    poll?.start(wanted)
    // An absolute time of the monotonic clock, in microseconds.
    var deadline: UInt64 = 0
    guard sd_bus_get_timeout(bus, &deadline) >= 0, deadline != .max else { return timer?.stop() ?? () }
    let moment = Moment(nanoseconds: deadline.multipliedReportingOverflow(by: 1000).partialValue)
    timer?.start(after: max(.zero, moment - SystemClock().now()))
  }

  private func finish() {
    guard let answer, let done else { return }
    self.done = nil
    end()
    done(answer)
  }

  private func end() {
    poll?.close()
    timer?.close()
    (poll, timer) = (nil, nil)
    // Without a word to the other side: that could wait for it.
    bus = sd_bus_close_unref(bus)
  }

  isolated deinit { end() }
}
