import Core
import Glibc

/// How fast a counter of bytes rises, smoothed over some seconds, as a person reads it. It is a value in `LiveStatus`,
/// which `StagedVolume` owns; the time is passed in.
struct Meter: Equatable {
  /// The mean's time constant in seconds: bytes older than this hardly count.
  private static let memory = 2.0
  /// Nothing moves where nothing came for so long: the mean alone would fade for a minute.
  private static let patience: Duration = .seconds(2)

  private var last: (bytes: Int64, time: Moment)?
  /// When there were last more bytes than before.
  private var moved: Moment?
  private var value: Double?
  /// Looks that `value` is made of, as long as they are few.
  private var looks = 0.0

  static func == (a: Meter, b: Meter) -> Bool {
    a.value == b.value && a.last?.bytes == b.last?.bytes && a.last?.time == b.last?.time
  }

  /// Bytes a second; nil while nothing moves, or before the second look.
  var rate: Int64? { value.flatMap { $0 >= 1 ? Int64($0) : nil } }

  /// The rate; nil if no note came lately.
  func rate(at time: Moment) -> Int64? {
    guard let last, time - last.time < .seconds(3) else { return nil }
    return rate
  }

  mutating func note(_ bytes: Int64, at time: Moment) {
    defer { last = (bytes, time) }
    guard let last else { return }
    let seconds = (time - last.time).seconds
    guard seconds > 0 else { return }
    // Fewer than before: they were dropped, and it begins anew. A pause without looks says nothing of now.
    guard bytes >= last.bytes, seconds < 10 else {
      (value, looks) = (nil, 0)
      return
    }
    if bytes > last.bytes { moved = time }
    guard let moved, time - moved < Self.patience else {
      (value, looks) = (nil, 0)
      return
    }
    let now = Double(bytes - last.bytes) / seconds
    guard let value else {
      (self.value, looks) = (now, 1)
      return
    }
    looks += 1
    // The mean, until there is more to remember than is remembered.
    let weight = max(1 - exp(-seconds / Self.memory), 1 / looks)
    self.value = value + (now - value) * weight
  }
}
