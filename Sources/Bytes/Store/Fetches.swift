import Core

/// A range on its way.
struct Fetch: Equatable {
  fileprivate(set) var id: Int
  /// The offset at which it began; `position ..< limit` is in flight.
  let start: Int64
  /// The next byte to be received.
  fileprivate(set) var position: Int64
  /// Its end, maybe cut since it began.
  fileprivate(set) var limit: Int64
  let isDemand: Bool
  /// The access's.
  let generation: Int
  /// The burst of failures it was started after.
  let epoch: Int
  /// When its last bytes came, or it began.
  fileprivate(set) var lastBytes: Moment
  /// How often what a reader lacks of it was given up before, as nothing came.
  var timesGivenUp = 0
  /// Its answer's head came; `isWhole`: it is the whole object.
  fileprivate(set) var hasBegun = false
  fileprivate(set) var isWhole = false
  /// Its answer may be of another version: no byte of it is taken before `version` says that it is of this one.
  fileprivate(set) var isHeld = false
  /// Its bytes are asked for once more beside it: the first of the two that brings any goes on.
  fileprivate(set) var hedge: Hedge?

  struct Hedge: Equatable {
    let id: Int
    let began: Moment
    /// Its answer's head came, and was judged to be of the right version.
    fileprivate(set) var hasHead = false
  }

  var inFlight: ByteRange { ByteRange(min(position, limit), limit) }
  var hasBytes: Bool { position > start }
  /// An answer to it was accepted, so that its bytes may come at any time.
  var mayBring: Bool { hasBegun && !isHeld || hedge?.hasHead == true }
  /// The numbers of all transfers for it.
  var ids: [Int] { hedge.map { [id, $0.id] } ?? [id] }
}

/// The ranges on their way, by start; few. No byte is in two of them. It is a value in the file's `FetchPlan`.
struct Fetches: Equatable, RandomAccessCollection {
  private var all: [Fetch] = []

  var startIndex: Int { 0 }
  var endIndex: Int { all.count }
  subscript(index: Int) -> Fetch { all[index] }

  /// The index of the fetch whose transfer, or whose hedge, is `id`.
  private func index(of id: Int) -> Int? { all.firstIndex { $0.id == id || $0.hedge?.id == id } }
  subscript(id id: Int) -> Fetch? { index(of: id).map { all[$0] } }

  mutating func add(_ fetch: Fetch) { all.insert(fetch, at: all.firstIndex { $0.start > fetch.start } ?? all.count) }

  @discardableResult mutating func remove(_ id: Int) -> Fetch? { index(of: id).map { all.remove(at: $0) } }
  mutating func removeAll() { all = [] }

  /// Nothing at or after `offset` is its own any more.
  mutating func cut(_ id: Int, at offset: Int64) { if let index = index(of: id) { all[index].limit = offset } }

  /// The bytes before `position` came.
  mutating func received(_ id: Int, upTo position: Int64, _ now: Moment) {
    guard let index = index(of: id) else { return }
    all[index].position = position
    all[index].lastBytes = now
  }

  /// That nothing came was not the origin's doing.
  mutating func excuse(_ id: Int, _ now: Moment) { if let index = index(of: id) { all[index].lastBytes = now } }

  mutating func headCame(_ id: Int, isWhole: Bool) {
    guard let index = index(of: id) else { return }
    guard all[index].id == id else {
      all[index].hedge?.hasHead = true
      return
    }
    all[index].hasBegun = true
    all[index].isWhole = isWhole
  }

  mutating func hold(_ id: Int) { if let index = index(of: id) { all[index].isHeld = true } }

  mutating func release(_ id: Int, _ now: Moment) {
    guard let index = index(of: id) else { return }
    all[index].isHeld = false
    all[index].lastBytes = now
  }

  // MARK: Hedges

  mutating func begin(hedge id: Int, of fetch: Int, _ now: Moment) {
    if let index = index(of: fetch) { all[index].hedge = .init(id: id, began: now) }
  }

  /// The transfer `id` ended, or has lost: of the two the other goes on.
  mutating func leave(_ id: Int) {
    guard let index = index(of: id), let hedge = all[index].hedge else { return }
    all[index].hedge = nil
    guard all[index].id == id else { return }
    // The answer that was held, or had begun, was the other one's.
    all[index].id = hedge.id
    all[index].hasBegun = hedge.hasHead
    all[index].isWhole = false
    all[index].isHeld = false
  }
}
