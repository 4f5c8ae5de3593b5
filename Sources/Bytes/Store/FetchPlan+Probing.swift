import Core

/// Requests of comparisons that bring nothing, which are sent once more. It is a part of the pure value that the file's
/// `FetchEngine` owns.
extension FetchPlan {
  /// Bytes of a comparison came: a sign of life of the origin.
  mutating func probeReceived(_ now: Moment) {
    probing.heard(now)
    progressed(now)
  }

  /// When a request for a comparison that brings nothing is sent once more. Each try has twice the time of the one
  /// before: an origin may only take its time.
  var nextProbeAgain: Moment? {
    guard let began = probing.began, version.asks(probing.id) || version.compares(probing.id) else { return nil }
    return began + silence.patience(isFirst: true) * (1 << min(6, probing.tries))
  }

  /// Sends it once more, on a connection of its own.
  mutating func probeAgain(_ now: Moment) -> [Action] {
    guard let due = nextProbeAgain, due <= now, mayAsk(now) || version.isRechecking, access.isReady else { return [] }
    let old = probing.id
    version.ended(old, isComplete: false)
    probing.again()
    guard let range = nextProbe else { return [.cancel(id: old)] }
    return [.cancel(id: old)] + startProbe(range, isAgain: true, now: now)
  }
}
