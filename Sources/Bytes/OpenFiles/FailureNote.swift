import Synchronization

/// The reason why an item's bytes do not come, for people; written by the transfer loop, read when items are listed.
///
/// Only the store that serves readers can set it: a file whose disk is full may well fail again beside the window that
/// stands in for it. The volume makes one for each item and hands it to the store with its order; its state is behind a
/// lock.
package final class FailureNote: Sendable {
  package enum Store { case file, window }

  package init() {}
  private let note = Mutex<(serving: Store, sentence: String?)>((.file, nil))

  package var sentence: String? {
    get { note.withLock { $0.sentence } }
    set { note.withLock { $0.sentence = newValue } }
  }

  /// From now on readers are served by that one, of which nothing bad is known.
  package func turn(to store: Store) { note.withLock { $0 = (store, nil) } }

  /// - Parameter sentence: nil: bytes come again.
  package func say(_ sentence: String?, of store: Store) {
    note.withLock { if $0.serving == store { $0.sentence = sentence } }
  }
}
