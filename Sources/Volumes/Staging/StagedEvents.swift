import ControlModel
import ControlRoutes
import Core

/// The events of staged items and of the cache. The group of the staged routes owns it; it asks the volume on the
/// dispatch loop, and keeps only what was told last.
@DispatchLoop
final class StagedEvents: EventSource {
  /// Items looked at in one turn of the loop; those that changed are written as JSON there.
  private static let step = 16
  /// The cache is looked at with each so many slow looks, though nothing moved.
  private static let rounds = 20

  private let operations: any StagedOperations
  /// The last report that is known, without its items.
  private var cache: CacheReport?
  private var slowLooks = 0
  /// Whether items moved since the cache was last looked at.
  private var hasMoved = true
  /// The failures of items, as they were told.
  private var failures: [String: String] = [:]

  init(_ operations: any StagedOperations) { self.operations = operations }

  func snapshot() -> [SnapshotPart] {
    [SnapshotPart("items", list: operations.list())] + (cache.map { [SnapshotPart("cache", $0)] } ?? [])
  }

  func begin() {}

  func look(_ sink: EventSink) -> Bool {
    let look = operations.look(atMost: Self.step)
    if !look.changed.isEmpty || !look.gone.isEmpty { hasMoved = true }
    let notices = notices(look)
    for id in look.gone { sink.publish(.gone(ItemGone(id: id))) }
    for item in look.changed { sink.publish(.item(item)) }
    for notice in notices { sink.publish(.notice(notice)) }
    return look.isMore
  }

  /// The cache's status comes from the disk's thread.
  func lookSlowly(_ sink: EventSink) async {
    defer { slowLooks += 1 }
    guard hasMoved || cache == nil || slowLooks % Self.rounds == 0 else { return }
    hasMoved = false
    guard var report = try? await operations.cache() else { return }
    report.items = []
    guard report != cache else { return }
    cache = report
    sink.publish(.cache(report))
  }

  private func notices(_ look: ItemChanges) -> [Notice] {
    for id in look.gone { failures[id] = nil }
    return look.changed.compactMap { item in
      let before = failures[item.id]
      failures[item.id] = item.failure
      guard let failure = item.failure, failure != before else { return nil }
      return Notice(.error, code: "item_failed", "\(item.name): \(failure)", id: item.id)
    }
  }
}
