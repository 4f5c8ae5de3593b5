import CWire
import Synchronization

/// A granted row of the lease table with its words of the maps; what leases over files and over the window have in
/// common. `LeaseTable` makes and ends it; it has the lock by which no thread writes to the map of a row that has
/// ended.
package final class LeaseRow: Sendable {
  let region: Region
  let index: Int
  let generation: UInt32
  /// The row's words, as a range of the section of maps.
  let words: Range<Int>
  /// Once it is false the map's words may belong to another lease: a late mark there would vouch for bytes that are
  /// not.
  private let isValid = Mutex(true)

  init(region: Region, index: Int, generation: UInt32, words: Range<Int>) {
    self.region = region
    self.index = index
    self.generation = generation
    self.words = words
  }

  /// The lease's number in handle rows and orders; never 0.
  package var id: UInt64 { fsmvp_pack(UInt32(index), generation) }

  func word(_ number: Int) -> UnsafeMutablePointer<UInt64> { region.mapWord(words.lowerBound + number) }

  /// Does nothing once the row has ended; it does not end meanwhile.
  func whileValid(_ body: () -> Void) { isValid.withLock { if $0 { body() } } }

  /// False where it has ended already.
  func end() -> Bool {
    isValid.withLock { isValid in
      defer { isValid = false }
      return isValid
    }
  }
}

/// A lease over a file or over the window, with its row of the table.
package protocol TableLease: Sendable { var row: LeaseRow { get } }

extension TableLease {
  package var id: UInt64 { row.id }
}
