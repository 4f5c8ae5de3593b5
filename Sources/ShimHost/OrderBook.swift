import Core
import Wire

/// Orders to the shim that it has not acknowledged yet, by rising number. They are kept as said, to be said again to whoever answers the link next.
struct OrderBook {
  private struct Entry {
    var number: UInt64
    var order: Order
    var done: (@DispatchLoop () -> Void)?
  }

  private var entries: [Entry] = []
  private var lastNumber: UInt64 = 0

  var count: Int { entries.count }
  /// The frames to say again, in order.
  var frames: [[UInt8]] { entries.map { $0.order.frame(number: $0.number) } }

  /// The frame of a new order.
  mutating func add(_ order: Order, done: (@DispatchLoop () -> Void)? = nil) -> [UInt8] {
    lastNumber += 1
    entries.append(Entry(number: lastNumber, order: order, done: done))
    return order.frame(number: lastNumber)
  }

  /// What is to be done now that the order of that number is carried out; not known where no such order waits.
  mutating func acknowledge(_ number: UInt64) -> (isKnown: Bool, done: (@DispatchLoop () -> Void)?) {
    guard let index = entries.firstIndex(where: { $0.number == number }) else { return (false, nil) }
    return (true, entries.remove(at: index).done)
  }

  /// All that still waits, because there is no mount any more and so nothing to carry out.
  mutating func abandon() -> [@DispatchLoop () -> Void] {
    defer { entries = [] }
    return entries.compactMap(\.done)
  }
}
