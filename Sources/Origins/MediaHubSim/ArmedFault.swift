import Core

/// A fault that has been given to the simulator: its dice are thrown and its time runs. It is a value in `Hub.State`,
/// behind the hub's lock.
struct ArmedFault: Sendable {
  var fault: Fault
  /// Nil without end.
  let end: Moment?
  private var dice: SplitMix

  init(_ fault: Fault, seed: UInt64, now: Moment) {
    self.fault = fault
    end = fault.lifetime.map { now + $0 }
    dice = SplitMix(state: fault.seed ?? seed)
  }

  /// Whether it happens this time. Only what can go either way uses up a throw.
  mutating func falls() -> Bool {
    fault.probability >= 1 || Double(dice.next() >> 11) * 0x1p-53 < fault.probability
  }
}
