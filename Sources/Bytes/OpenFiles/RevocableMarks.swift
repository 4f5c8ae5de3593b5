import Store
import Synchronization
import Volume

/// Lets a store mark its lease until the lease is given back: its row may then be another file's, and a block written
/// late must not be vouched for there. `BackingStores` makes it for each lease of a file and closes it; the store marks
/// by it from any thread, under its lock.
final class RevocableMarks: Sendable {
  private let lease: Mutex<(any Lease)?>
  init(_ lease: any Lease) { self.lease = Mutex(lease) }

  func set(_ blocks: Range<Int>, present isPresent: Bool) {
    lease.withLock { lease in isPresent ? lease?.mark(blocks) : lease?.unmark(blocks) }
  }
  /// No mark is made after this returns.
  func close() { lease.withLock { $0 = nil } }
}

/// A window lease as a store's map; it keeps out by itself what comes after its end.
struct LeaseMap: WindowMap {
  let lease: any WindowLease
  func put(_ block: Int, frame: Int, generation: UInt32, isWhole: Bool) {
    lease.put(block, frame: frame, generation: generation, isWhole: isWhole)
  }
  func clear(_ block: Int) { lease.clear(block) }
  func note(version: UInt64) { lease.note(version: version) }
}
