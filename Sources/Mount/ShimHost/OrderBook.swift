import Core
import Wire

/// Orders to the shim that it has not acknowledged yet, by rising number. They are kept as said, to be said again to
/// the shim that answers the link next. Each call costs the same however many wait, since shims acknowledge in the
/// order they were told. It is a value in `ShimLink`, which owns it and sends what it returns.
struct OrderBook {
  private struct Entry {
    var number: UInt64
    /// Nil: acknowledged, and kept only until those before it are.
    var order: Order?
    var done: (@DispatchLoop () -> Void)?
  }

  private var entries: [Entry] = []
  /// Entries before this one are acknowledged; they are dropped together, once they are the larger part.
  private var first = 0
  private var lastNumber: UInt64 = 0

  private(set) var count = 0
  /// The frames to say again, in order.
  var frames: [[UInt8]] { entries[first...].compactMap { entry in entry.order.map { $0.frame(number: entry.number) } } }

  /// The frame of a new order.
  mutating func add(_ order: Order, done: (@DispatchLoop () -> Void)? = nil) -> [UInt8] {
    lastNumber += 1
    entries.append(Entry(number: lastNumber, order: order, done: done))
    count += 1
    return order.frame(number: lastNumber)
  }

  /// Returns the work to do now that the order of that number is carried out; not known if no such order waits.
  mutating func acknowledge(_ number: UInt64) -> (isKnown: Bool, done: (@DispatchLoop () -> Void)?) {
    // Numbers follow one another, so the entry's place is known.
    guard first < entries.count, number >= entries[first].number, number <= lastNumber else { return (false, nil) }
    let index = first + Int(number - entries[first].number)
    guard entries[index].order != nil else { return (false, nil) }
    let done = entries[index].done
    entries[index].order = nil
    entries[index].done = nil
    count -= 1
    while first < entries.count, entries[first].order == nil { first += 1 }
    if first > 64, first * 2 > entries.count {
      entries.removeFirst(first)
      first = 0
    }
    return (true, done)
  }

  /// All that still waits, because there is no mount any more and so nothing to carry out.
  mutating func abandon() -> [@DispatchLoop () -> Void] {
    defer { (entries, first, count) = ([], 0, 0) }
    return entries[first...].compactMap(\.done)
  }
}
