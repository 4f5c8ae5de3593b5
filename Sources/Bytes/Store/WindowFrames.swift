import Core

/// Which frame of a window holds which block, and which block gives way: a pure value; the bytes and the maps are
/// `WindowPool`'s.
///
/// A block is claimed while a fetch brings it, while a reader waits for it, and while a reader that was told it is here
/// may still read it. Claimed blocks stay. Fetching and readers are let in only as far as there is room for all their
/// claims at once, but one reader always is: so no window is so small that a reader starves, and no reader waits for
/// another that waits for it. `WindowPool` owns it.
struct WindowFrames: Equatable {
  struct Key: Hashable {
    var file: Int
    var block: Int
  }
  struct Frame: Equatable {
    var key: Key
    /// When its bytes came, or were last read. Nanoseconds.
    var used: UInt64
    /// A reader has read from it.
    var isRead = false
    /// A copy of the answer in `claims`: every fetch looks at all frames for each piece that comes, so that must cost
    /// next to nothing.
    var isClaimed = false
  }

  /// Frames that may be in use; one more reader's worth may be beyond it.
  let capacity: Int
  /// Frames that exist.
  let limit: Int
  private(set) var frames: [Frame?] = []
  private var free: [Int] = []
  private var index: [Key: Int] = [:]
  private(set) var claims: [Key: Int] = [:]
  /// Claimed blocks that have no frame yet.
  private(set) var unplaced = 0
  /// Readers that were let in and have not left.
  private(set) var readers = 0

  init(capacity: Int, limit: Int) {
    self.limit = max(1, limit)
    self.capacity = max(1, min(capacity, self.limit))
  }

  var inUse: Int { index.count }
  /// Blocks that cannot give way, those among them that have no frame yet included.
  var claimed: Int { claims.count }

  func frame(of key: Key) -> Int? { index[key] }

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
    if let frame = index[key] { frames[frame]?.isClaimed = isClaimed } else { unplaced += isClaimed ? 1 : -1 }
  }

  // MARK: Frames

  enum Found: Equatable {
    case frame(Int)
    /// It held this block, which is gone now.
    case taken(Int, from: Key)
    case none
  }

  /// A frame for a block that has none: a free one, else that of the block that is missed least.
  mutating func allocate(_ key: Key, now: UInt64) -> Found {
    if let frame = index[key] { return .frame(frame) }
    if inUse < capacity, let frame = freeFrame() {
      occupy(frame, key, now)
      return .frame(frame)
    }
    if let frame = victim(), let old = frames[frame]?.key {
      index[old] = nil
      occupy(frame, key, now)
      return .taken(frame, from: old)
    }
    guard claims[key] != nil, let frame = freeFrame() else { return .none }
    occupy(frame, key, now)
    return .frame(frame)
  }

  /// - Returns: the frame that is free by it.
  @discardableResult mutating func remove(_ key: Key) -> Int? {
    guard let frame = index.removeValue(forKey: key) else { return nil }
    if frames[frame]?.isClaimed == true { unplaced += 1 }
    frames[frame] = nil
    free.append(frame)
    return frame
  }

  /// A block to take away, after a reader that was let in beyond the capacity has left.
  func surplus() -> Key? { inUse > max(capacity, claimed) ? victim().flatMap { frames[$0]?.key } : nil }

  mutating func read(_ frame: Int, at time: UInt64) {
    let known = frames[frame]?.used ?? 0
    frames[frame]?.used = max(known, time)
    frames[frame]?.isRead = true
  }

  /// Frames that a block which was not asked for may have: free ones, and those with bytes that were read or have been
  /// unread for longer than `patience`.
  func room(now: UInt64, patience: UInt64) -> Int {
    var room = capacity - inUse
    for case let frame? in frames where !frame.isClaimed && isSpent(frame, now, patience) { room += 1 }
    return room - unplaced
  }

  /// Blocks of `file` that were not read yet and are not claimed.
  func unread(of file: Int) -> Int {
    frames.count { $0.map { $0.key.file == file && !$0.isRead && !$0.isClaimed } ?? false }
  }

  func keys(of file: Int) -> [Key] { frames.compactMap { $0?.key }.filter { $0.file == file } }

  private func isSpent(_ frame: Frame, _ now: UInt64, _ patience: UInt64) -> Bool {
    frame.isRead || frame.used &+ patience < now
  }

  private mutating func freeFrame() -> Int? {
    if let frame = free.popLast() { return frame }
    guard frames.count < limit else { return nil }
    frames.append(nil)
    return frames.count - 1
  }

  private mutating func occupy(_ frame: Int, _ key: Key, _ now: UInt64) {
    frames[frame] = Frame(key: key, used: now, isClaimed: claims[key] != nil)
    index[key] = frame
    if claims[key] != nil { unplaced -= 1 }
  }

  /// The frame that was read longest ago; only then unread ones, the oldest first.
  private func victim() -> Int? {
    var best: (frame: Int, isRead: Bool, used: UInt64)?
    for (number, frame) in frames.enumerated() {
      guard let frame, !frame.isClaimed else { continue }
      guard let found = best else {
        best = (number, frame.isRead, frame.used)
        continue
      }
      let isBetter = frame.isRead == found.isRead ? frame.used < found.used : frame.isRead
      if isBetter { best = (number, frame.isRead, frame.used) }
    }
    return best?.frame
  }
}
