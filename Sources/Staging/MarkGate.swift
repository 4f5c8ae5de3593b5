import Core
import Store
import Synchronization
import Volume

/// Lets a store mark its lease until the lease is given back: its row may then be another file's, and a block written late must not be vouched
/// for there.
final class MarkGate: Sendable {
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
  func put(_ block: Int, place: Int, generation: UInt32, isWhole: Bool) {
    lease.put(block, place: place, generation: generation, isWhole: isWhole)
  }
  func clear(_ block: Int) { lease.clear(block) }
  func note(version: UInt64) { lease.note(version: version) }
}

/// Why an item's bytes do not come, for people; written by the transfer loop, read by whoever lists items.
///
/// The store that readers are served by has the say: a file whose disk is full may well fail again beside the window that stands in for it.
final class FailureNote: Sendable {
  enum Store { case file, window }

  private let note = Mutex<(serving: Store, sentence: String?)>((.file, nil))

  var sentence: String? {
    get { note.withLock { $0.sentence } }
    set { note.withLock { $0.sentence = newValue } }
  }

  /// From now on readers are served by that one, of which nothing bad is known.
  func turn(to store: Store) { note.withLock { $0 = (store, nil) } }

  /// - Parameter sentence: nil: bytes come again.
  func say(_ sentence: String?, of store: Store) {
    note.withLock { if $0.serving == store { $0.sentence = sentence } }
  }
}
