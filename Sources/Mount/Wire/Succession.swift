import CWire

/// The header's fields about the processes of a mount, and the state from which a death is judged. The shims write
/// them, but for the control plane's own identity; the time of a kill is written by the side that kills (`noteKill`).
/// Each call is one atomic access or a look over rows, and keeps no state.
extension Region {
  /// Pid and start time of the shim that serves, as the next two.
  package var active: UInt64 { fsmvp_load_acquire(header.word(HeaderField.active)) }
  /// The shim that would take over; 0 if there is none yet.
  package var standby: UInt64 { fsmvp_load_acquire(header.word(HeaderField.standby)) }
  package var control: UInt64 { fsmvp_load_acquire(header.word(HeaderField.control)) }
  /// Stamped by the active shim every half second.
  package var heartbeat: UInt64 { fsmvp_load_acquire(header.word(HeaderField.heartbeat)) }
  /// Nanoseconds from the end of the last shim until its successor served; 0 before the first.
  package var outage: UInt64 { header.load(HeaderField.outage) }
  /// Whether the active shim has answered anything yet.
  package var hasAnswered: Bool { header.load(HeaderField.answered) != 0 }

  /// Says when the active shim was ended on purpose, so that its successor can tell the outage. To be called right
  /// before.
  package func noteKill() { fsmvp_store_release(header.word(HeaderField.killedAt), fsmvp_now()) }

  /// Replies of all shims so far. It never falls, so a rise says that some shim answered something, no matter which one
  /// was active.
  package var replies: UInt64 {
    var count: UInt64 = 0
    for op in 0..<FSMVP_OP_COUNT.rawValue {
      for segment in [FSMVP_SEGMENT_TOTAL, FSMVP_SEGMENT_LOCAL] {
        count = count &+ histogram(op: op, segment: segment).load(HistogramField.count)
      }
    }
    return count
  }

  /// Whether a shim has something in its own hands: a request received and in no slot yet, or a slot that it works on
  /// or is about to answer.
  package var holdsWork: Bool {
    for index in 0..<Int(FSMVP_WORKERS_MAX) where fsmvp_load_acquire32(receive(index).half(0)) != 0 { return true }
    for index in 0..<slotsHigh {
      let state = fsmvp_low(fsmvp_load_acquire(slotWord(index)))
      if state == FSMVP_LOCAL.rawValue || state == FSMVP_DONE.rawValue { return true }
    }
    return false
  }
}
