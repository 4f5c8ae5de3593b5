import ControlModel

/// The items a window shows, newest first, kept up to date by events. It is a value in `Desk`, and touches no widget.
struct Board {
  /// A change made by an event, so that a view updates that part and nothing else.
  enum Change: Equatable {
    /// From `at` on `removed` rows went, and these came in their place.
    case spliced(at: Int, removed: Int, added: [String])
    case item(String)
  }

  /// Id of the only item this board is about; nil: all.
  let only: String?
  private(set) var ids: [String] = []
  private(set) var items: [String: StagedItem] = [:]

  init(only: String? = nil) { self.only = only }

  /// Number of files with open handles.
  var openCount: Int { items.values.count { $0.openRef > 0 } }

  mutating func apply(_ event: ControlEvent) -> [Change] {
    switch event {
    case .snapshot(let snapshot): replace(snapshot.items)
    case .item(let item): put(item)
    case .gone(let gone): remove(gone.id)
    case .status, .cache, .latency, .notice: []
    }
  }

  private mutating func put(_ item: StagedItem) -> [Change] {
    guard only == nil || only == item.id else { return [] }
    let known = items.updateValue(item, forKey: item.id)
    guard let known else {
      ids.insert(item.id, at: 0)
      return [.spliced(at: 0, removed: 0, added: [item.id])]
    }
    return known == item ? [] : [.item(item.id)]
  }

  private mutating func remove(_ id: String) -> [Change] {
    guard items.removeValue(forKey: id) != nil, let row = ids.firstIndex(of: id) else { return [] }
    ids.remove(at: row)
    return [.spliced(at: row, removed: 1, added: [])]
  }

  /// Rows that stay are not touched, so that a reconnection moves neither the list nor the focus.
  private mutating func replace(_ all: [StagedItem]) -> [Change] {
    let latest = all.filter { only == nil || only == $0.id }
    let before = items
    items = Dictionary(latest.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
    let old = ids
    ids = latest.reversed().map(\.id)
    let head = zip(old, ids).prefix { $0 == $1 }.count
    let tail = zip(old.dropFirst(head).reversed(), ids.dropFirst(head).reversed()).prefix { $0 == $1 }.count
    let added = Array(ids[head..<(ids.count - tail)])
    let removed = old.count - head - tail
    var changes: [Change] = removed > 0 || !added.isEmpty ? [.spliced(at: head, removed: removed, added: added)] : []
    let fresh = Set(added)
    changes += ids.filter { !fresh.contains($0) && before[$0] != items[$0] }.map(Change.item)
    return changes
  }
}
