import Core

/// Space on its way to be free: of files that are unlinked and closed but may not be gone yet, or that the shim still
/// holds by a descriptor. `FileCache` owns the one of the process, on the dispatch loop; these are counts, and no file
/// is touched.
@DispatchLoop
package final class LeavingSpace {
  private var leaving: [Int: Int64] = [:]
  private var nextTicket = 1
  private var waiting: [(tickets: Set<Int>, body: @DispatchLoop () -> Void)] = []
  package private(set) var bytes: Int64 = 0
  /// How often space became free.
  package private(set) var timesFreed = 0

  package nonisolated init() {}

  package var isEmpty: Bool { leaving.isEmpty }
  /// The tickets of space that is leaving now.
  package var tickets: Set<Int> { Set(leaving.keys) }

  /// Ends with `left`.
  package func leave(_ bytes: Int64) -> Int {
    defer { nextTicket += 1 }
    leaving[nextTicket] = max(0, bytes)
    self.bytes &+= max(0, bytes)
    return nextTicket
  }

  package func left(_ ticket: Int) {
    guard let bytes = leaving.removeValue(forKey: ticket) else { return }
    self.bytes &-= bytes
    timesFreed += 1
    for index in waiting.indices { waiting[index].tickets.remove(ticket) }
    let due = waiting.filter(\.tickets.isEmpty)
    waiting.removeAll(where: \.tickets.isEmpty)
    for one in due { one.body() }
  }

  /// Calls back once all of these have left; at once where they have.
  package func whenLeft(_ tickets: Set<Int>, _ body: @escaping @DispatchLoop () -> Void) {
    let tickets = tickets.filter { leaving[$0] != nil }
    if tickets.isEmpty { body() } else { waiting.append((tickets, body)) }
  }

  /// Calls back once any of what is leaving now has left.
  package func whenNextLeft(_ body: @escaping @DispatchLoop () -> Void) {
    guard let first = leaving.keys.min() else { return body() }
    whenLeft([first], body)
  }
}
