import Core

/// A transfer's phase and the time of its last progress, for time-outs. A pure value.
///
/// The connect and TLS phases have no limit here: libcurl keeps one clock for both, name look-up included. Each
/// exchange has its own.
struct PhaseClock: Equatable {
  enum Phase: String { case connect, tls = "TLS", headers, body }

  private(set) var phase = Phase.connect
  private(set) var isPaused = false
  private var since: Moment

  init(now: Moment) { since = now }

  mutating func handshakeBegan(now: Moment) {
    phase = .tls
    since = now
  }

  /// The request goes out, of the first hop or of a later one.
  mutating func requestBegan(now: Moment) {
    phase = .headers
    since = now
  }

  mutating func headEnded(now: Moment) {
    phase = .body
    since = now
  }

  /// A head that was not the last: libcurl goes on to another host.
  mutating func redirected(now: Moment) {
    phase = .connect
    since = now
  }

  mutating func received(now: Moment) { since = now }
  mutating func paused() { isPaused = true }

  mutating func resumed(now: Moment) {
    isPaused = false
    since = now
  }

  /// The phase that has stood still for too long. A paused transfer waits for us, not for the server.
  func expired(now: Moment, headers: Duration, idle: Duration) -> Phase? {
    guard !isPaused else { return nil }
    switch phase {
    case .connect, .tls: return nil
    case .headers: return now - since >= headers ? .headers : nil
    case .body: return now - since >= idle ? .body : nil
    }
  }
}
