import Core
import EventLoop

/// Keeps ranges to the client's rate: a range that finds the bucket empty is paused and goes on in its turn, urgent
/// ones first. Owns the queue of paused ranges. `HTTPClient` owns it, on the transfer loop, if there is a limit.
@TransferLoop
final class Throttle {
  private var limit: RateLimit
  private let now: () -> Moment
  /// Paused by us, urgent ones first, each kind in the order they came.
  private var held: [RangeFetch] = []
  /// The rest of the queue while it is let go.
  private var line: [RangeFetch] = []
  private var timer: LoopTimer?

  init(rate: Int64, now: @escaping () -> Moment) {
    limit = RateLimit(rate: rate, now: now())
    self.now = now
  }

  var isHoldingBack: Bool { !held.isEmpty || !line.isEmpty }

  /// Whether it may take the bytes it has now; if not, it is in the line, and `goOn` is called when its turn has come.
  func allows(_ fetch: RangeFetch) -> Bool {
    // Not before waiting ranges of its kind, which wait for more than a single byte's worth.
    let isFirst = held.first.map { fetch.request.isUrgent && !$0.request.isUrgent } ?? true
    if isFirst, limit.allows(isUrgent: fetch.request.isUrgent, now: now()) { return true }
    join(fetch)
    arm()
    return false
  }

  func took(_ count: Int) { limit.took(count, now: now()) }

  /// It has ended.
  func forget(_ fetch: RangeFetch) {
    held.removeAll { $0 === fetch }
    line.removeAll { $0 === fetch }
    if held.isEmpty { timer?.stop() }
  }

  private func join(_ fetch: RangeFetch) {
    let end = fetch.request.isUrgent ? held.firstIndex { !$0.request.isUrgent } : nil
    held.insert(fetch, at: end ?? held.endIndex)
  }

  private func arm() {
    guard let first = held.first else { return }
    if timer == nil { timer = try? LoopTimer(on: .transfer) { [weak self] in self?.letGo() } }
    timer?.start(after: max(.milliseconds(1), limit.wait(isUrgent: first.request.isUrgent, now: now())))
  }

  /// Lets each range take the bytes that libcurl has for it, until the bucket is empty; ranges that had no turn stay
  /// before those that are paused again.
  private func letGo() {
    let now = now()
    (line, held) = (held, [])
    while let fetch = line.first, limit.allows(isUrgent: fetch.request.isUrgent, now: now) {
      line.removeFirst()
      fetch.goOn()
    }
    let again = held
    (held, line) = (line, [])
    for fetch in again { join(fetch) }
    arm()
  }
}
