import Core
import Glibc

/// How long the service asked to be left alone (`Retry-After` with 429 or 503), bounded by the setting
/// `retry_after_limit`. A pure value. `ServiceConnection` owns it, and shows a copy to other threads.
struct ServiceRest: Equatable {
  /// The most that is obeyed.
  let limit: Duration
  private(set) var until: Moment?
  private var status = 0

  init(limit: Duration) { self.limit = limit }

  /// An answer came. A shorter time than the one that runs changes nothing.
  mutating func told(_ wait: Duration?, status: Int, now: Moment) {
    guard status == 429 || status == 503, let wait, wait > .zero else { return }
    let end = now + min(wait, limit)
    if let until, until >= end { return }
    self.until = end
    self.status = status
  }

  /// The time left; nil if requests may be sent.
  func left(_ now: Moment) -> Duration? { until.flatMap { $0 > now ? $0 - now : nil } }

  /// One sentence.
  /// - Parameters:
  ///   - left: the time left.
  ///   - wallNanoseconds: since 1970, now.
  func sentence(of service: String, left: Duration, wallNanoseconds: Int64) -> String {
    "MediaHub at \(service) asked to wait until \(Self.clock(wallNanoseconds + left.nanoseconds)) (\(status)); nothing "
      + "is sent to it before that"
  }

  /// The time of day here.
  private static func clock(_ wallNanoseconds: Int64) -> String {
    // Rounded up, so that it is over by then.
    var seconds = time_t((wallNanoseconds + 999_999_999) / 1_000_000_000)
    var parts = tm()
    localtime_r(&seconds, &parts)
    func two(_ number: Int32) -> String { (number < 10 ? "0" : "") + "\(number)" }
    return "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
  }
}
