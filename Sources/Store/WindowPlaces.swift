import Core

/// Which place of a window holds which block, and which block gives way: a pure value; the bytes, and who is told, are `WindowPool`'s.
///
/// A block is claimed while a fetch brings it, while a reader waits for it, and while somebody who was told that it is here may still read it. Claimed
/// blocks stay. Fetching and readers are let in only as far as there is room for all their claims at once, but one reader always is: so no window is so
/// small that a reader starves, and no reader waits for another that waits for it.
struct WindowPlaces: Equatable {
  struct Key: Hashable {
    var file: Int
    var block: Int
  }
  struct Place: Equatable {
    var key: Key
    /// When its bytes came, or were last read. Nanoseconds.
    var used: UInt64
    /// Somebody has read from it.
    var isRead = false
    /// As `claims` has it: every fetch looks at all places for each piece that comes, so that must cost next to nothing.
    var isClaimed = false
  }

  /// Places that may be in use; one more reader's worth may be beyond it.
  let capacity: Int
  /// What there is behind it.
  let limit: Int
  private(set) var places: [Place?] = []
  private var free: [Int] = []
  private var index: [Key: Int] = [:]
  private(set) var claims: [Key: Int] = [:]
  /// Of `claims`, those of blocks that have no place yet.
  private(set) var unplaced = 0
  /// Readers that were let in and have not left.
  private(set) var readers = 0

  init(capacity: Int, limit: Int) {
    self.limit = max(1, limit)
    self.capacity = max(1, min(capacity, self.limit))
  }

  var inUse: Int { index.count }
  /// Blocks that cannot give way, those among them that have no place yet included.
  var claimed: Int { claims.count }

  func place(of key: Key) -> Int? { index[key] }

  // MARK: Claims

  /// Whether `keys` can be claimed by one more reader now.
  func admits(_ keys: some Collection<Key>) -> Bool {
    let new = keys.count { claims[$0] == nil }
    return claimed + new <= capacity || (readers == 0 && claimed + new <= limit)
  }

  mutating func enter(_ keys: some Collection<Key>) {
    readers += 1
    for key in keys { claim(key) }
  }

  mutating func leave(_ keys: some Collection<Key>) {
    readers -= 1
    for key in keys { release(key) }
  }

  mutating func claim(_ key: Key) {
    let count = claims[key] ?? 0
    claims[key] = count + 1
    if count == 0 { mark(key, isClaimed: true) }
  }

  mutating func release(_ key: Key) {
    guard let count = claims[key] else { return }
    claims[key] = count > 1 ? count - 1 : nil
    if count == 1 { mark(key, isClaimed: false) }
  }

  private mutating func mark(_ key: Key, isClaimed: Bool) {
    if let place = index[key] { places[place]?.isClaimed = isClaimed } else { unplaced += isClaimed ? 1 : -1 }
  }

  // MARK: Places

  enum Found: Equatable {
    case place(Int)
    /// It held this block, which is gone now.
    case taken(Int, from: Key)
    case none
  }

  /// A place for a block that has none: a free one, else that of the block that is missed least.
  mutating func allocate(_ key: Key, now: UInt64) -> Found {
    if let place = index[key] { return .place(place) }
    if inUse < capacity, let place = freePlace() {
      occupy(place, key, now)
      return .place(place)
    }
    if let place = victim(), let old = places[place]?.key {
      index[old] = nil
      occupy(place, key, now)
      return .taken(place, from: old)
    }
    guard claims[key] != nil, let place = freePlace() else { return .none }
    occupy(place, key, now)
    return .place(place)
  }

  /// - Returns: the place that is free by it.
  @discardableResult mutating func remove(_ key: Key) -> Int? {
    guard let place = index.removeValue(forKey: key) else { return nil }
    if places[place]?.isClaimed == true { unplaced += 1 }
    places[place] = nil
    free.append(place)
    return place
  }

  /// A block to take away, where a reader who was let in beyond the capacity has left.
  func surplus() -> Key? { inUse > max(capacity, claimed) ? victim().flatMap { places[$0]?.key } : nil }

  mutating func read(_ place: Int, at time: UInt64) {
    let known = places[place]?.used ?? 0
    places[place]?.used = max(known, time)
    places[place]?.isRead = true
  }

  /// Places a block that nobody asked for yet may have: those that are free or hold what has been read, or what was not in `patience`.
  func room(now: UInt64, patience: UInt64) -> Int {
    var room = capacity - inUse
    for case let place? in places where !place.isClaimed && isSpent(place, now, patience) { room += 1 }
    return room - unplaced
  }

  /// Blocks of `file` that nobody has read yet and nobody waits for.
  func unread(of file: Int) -> Int { places.count { $0.map { $0.key.file == file && !$0.isRead && !$0.isClaimed } ?? false } }

  func keys(of file: Int) -> [Key] { places.compactMap { $0?.key }.filter { $0.file == file } }

  private func isSpent(_ place: Place, _ now: UInt64, _ patience: UInt64) -> Bool { place.isRead || place.used &+ patience < now }

  private mutating func freePlace() -> Int? {
    if let place = free.popLast() { return place }
    guard places.count < limit else { return nil }
    places.append(nil)
    return places.count - 1
  }

  private mutating func occupy(_ place: Int, _ key: Key, _ now: UInt64) {
    places[place] = Place(key: key, used: now, isClaimed: claims[key] != nil)
    index[key] = place
    if claims[key] != nil { unplaced -= 1 }
  }

  /// What was read longest ago; only then what nobody has read yet, the oldest first.
  private func victim() -> Int? {
    var best: (place: Int, isRead: Bool, used: UInt64)?
    for (number, place) in places.enumerated() {
      guard let place, !place.isClaimed else { continue }
      guard let found = best else {
        best = (number, place.isRead, place.used)
        continue
      }
      let isBetter = place.isRead == found.isRead ? place.used < found.used : place.isRead
      if isBetter { best = (number, place.isRead, place.used) }
    }
    return best?.place
  }
}
