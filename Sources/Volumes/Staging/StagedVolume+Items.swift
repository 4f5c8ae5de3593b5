import ControlModel
import Core
import OpenFiles
import Volume

/// The items as the API shows them. It runs on the dispatch loop, reads `staged` and `files`, and changes nothing.
extension StagedVolume {
  /// By order of staging; items unstaged while open are among them. For a list that may be long take
  /// `items(after:limit:)`.
  package func items() -> [StagedItem] { items(after: 0, limit: .max).items }

  /// A part of the list, by order of staging; items unstaged while open are among them.
  /// - Parameters:
  ///   - cursor: 0 for the first part; then `next` of the part before. An item's cursor never changes, so parts taken
  ///     one after the other have each item that stood throughout once.
  ///   - limit: at most so many items.
  /// - Returns: `next` is nil after the last part.
  package func items(after cursor: UInt64, limit: Int) -> (items: [StagedItem], next: UInt64?) {
    let limit = min(max(1, limit), .max - 1)
    let page = staged.page(from: cursor, limit: limit + 1)
    return (page.prefix(limit).map { item($0.seq, $0.record) }, page.count > limit ? page[limit - 1].seq + 1 : nil)
  }

  /// The cursor of an item, for `items(after:limit:)`; nil for an id that is not there.
  package func cursor(of id: String) -> UInt64? { staged.seq(id: id).map { $0 + 1 } }

  /// How many items there are.
  package var count: Int { staged.count }

  /// How many there are, and what was fetched of them and given to the kernel, all together.
  /// The bytes of files with a store, and those given to open handles, are those of the last `countTotals`.
  package var totals: (items: Int, bytesFetched: Int64, bytesServed: Int64) {
    let closed = files.keeper.totals
    return (staged.count, closed.parked &+ live.standing, closed.served &+ live.servedOpen)
  }

  /// By id, of an item that stands or is still open.
  package func item(id: String) throws(StagingError) -> StagedItem {
    guard let item = staged.seq(id: id).flatMap({ item($0) }) else { throw Self.noSuch(id) }
    return item
  }

  /// Whether a handle is open on any item.
  package var isBusy: Bool { files.keeper.openHandles > 0 }

  /// Bytes of items that are gone and whose space is not free yet.
  package var bytesLeaving: Int64 { files.space.bytes }

  func item(_ seq: UInt64) -> StagedItem? { staged[seq].map { item(seq, $0) } }

  func item(_ seq: UInt64, _ record: StagedRecord) -> StagedItem {
    let entry = record.entry(seq)
    let glimpse = glimpse(seq, record)
    var item = StagedItem(
      id: entry.id, path: "\(mountpoint)/Staged/\(entry.id)/\(entry.name)", fileId: entry.fileID,
      name: entry.name.description,
      size: entry.size, recipient: entry.recipient, state: glimpse.state, pinned: glimpse.pinned,
      tileRef: glimpse.tileRef,
      openRef: glimpse.openRef, bytesFetched: glimpse.fetched, bytesServed: glimpse.served, failure: glimpse.failure)
    item.windowed = glimpse.windowed
    item.bytesRead = glimpse.read
    item.map = map(seq, record)
    if glimpse.openRef > 0 { item.readers = readers(of: seq) }
    if let meters = live.meters[seq] {
      let now = dependencies.clock.now()
      item.fetchRate = meters.fetched.rate(at: now)
      item.readRate = meters.served.rate(at: now)
    }
    item.etaSeconds = item.eta
    return item
  }
}
