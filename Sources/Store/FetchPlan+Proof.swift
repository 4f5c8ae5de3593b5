import Core
import Transfer

/// Bytes that an earlier run left in the file. Two things have to be known of them before they are used: that the file still has what was summed
/// (`checked`, block by block), and that it is the version the origin has now (`proof`, once). Until then they are held, so nobody fetches them,
/// and not present, so nobody gets them. What is found wanting is missing like everything else.
extension FetchPlan {
  enum Proof: Equatable {
    /// There is nothing to prove any more.
    case given
    /// The origin is to be asked for its validator; as fetch `id`, where that is on its way.
    case asking(Int?)
    /// It shows none that decides. These overlaps are fetched again, the first as that fetch, once all is checked.
    case comparing([ByteRange], Int?)
    /// The first one is here; the file is being read.
    case reading([ByteRange])
  }

  /// Blocks to mark before the actions are taken.
  typealias Gain = (blocks: [Range<Int>], actions: [Action])

  /// Begins with bytes that an earlier run left.
  mutating func begin(unproven left: RangeSet) {
    guard !left.isEmpty else { return }
    held = left
    heldCount = left.count
    unproven = left
    unchecked = left
    proof = .asking(nil)
  }

  /// Begins with bytes that were vouched for all the time.
  mutating func begin(present bytes: RangeSet) {
    held = bytes
    heldCount = bytes.count
    extents = bytes
    presentCount = bytes.count
  }

  // MARK: Sums

  /// What to check next, at most `limit` bytes: what somebody waits for, else from the start; nothing while nobody wants any.
  func nextCheck(limit: Int64) -> ByteRange? {
    guard isFilling || !waiters.isEmpty, permanentFailure == nil else { return nil }
    for range in unchecked.ranges {
      guard let missing = waiters.firstMissing(in: range) else { continue }
      let start = max(range.start, roundDown(missing))
      return ByteRange(start, min(range.end, advance(start, by: limit)))
    }
    return unchecked.ranges.first.map { ByteRange($0.start, min($0.end, advance($0.start, by: limit))) }
  }

  /// The sums of `range` were compared with the file: `good` agrees.
  mutating func checked(_ range: ByteRange, good: [ByteRange], now: Moment) -> Gain {
    unchecked.remove(range)
    for bad in RangeSet(good).missing(in: range) { drop(bad) }
    guard !unproven.isEmpty else { return ([], proof == .given ? [] : disprove()) }
    if proof == .given { return believe(good, now: now) }
    if case .comparing([], nil) = proof { findOverlaps() }
    return ([], [])
  }

  // MARK: Proof

  /// What to fetch for it.
  var nextProbe: ByteRange? {
    switch proof {
    // Its head is what counts.
    case .asking(nil): unproven.ranges.first.map { ByteRange($0.start, $0.start + 1) }
    case .comparing(let overlaps, nil): overlaps.first
    default: nil
    }
  }

  func canProbe(_ now: Moment) -> Bool {
    nextProbe != nil && linkState == .ready && now >= notBefore && !isHalted && permanentFailure == nil
  }

  mutating func startProbe(_ range: ByteRange) -> [Action] {
    let id = nextID
    nextID += 1
    if case .comparing(let overlaps, _) = proof { proof = .comparing(overlaps, id) } else { proof = .asking(id) }
    return [.probe(id: id, range: range)]
  }

  /// Whether fetch `id` asks for the version, or brings bytes to compare.
  func asks(_ id: Int) -> Bool { proof == .asking(id) }
  func compares(_ id: Int) -> Bool { if case .comparing(_, id) = proof { true } else { false } }

  /// The head of what was asked came. `isSame`: with a strong validator under which the bytes came.
  mutating func answered(_ id: Int, isSame: Bool, now: Moment) -> Gain {
    guard asks(id) else { return ([], []) }
    if isSame { return prove(now) }
    proof = .comparing([], nil)
    if unchecked.isEmpty { findOverlaps() }
    return ([], [])
  }

  /// What was fetched again was compared with the file.
  mutating func comparedAgain(isEqual: Bool, now: Moment) -> Gain {
    guard case .reading(let overlaps) = proof else { return ([], []) }
    guard isEqual else { return ([], disprove()) }
    guard overlaps.count > 1 else { return prove(now) }
    proof = .comparing(Array(overlaps.dropFirst()), nil)
    return ([], [])
  }

  /// The bytes are of another version, or cannot be told to be of this one.
  mutating func disprove() -> [Action] {
    let cancels = endProbe()
    for piece in unproven.ranges { lost(piece) }
    unproven = RangeSet()
    unchecked = RangeSet()
    proof = .given
    return cancels + [.unpin]
  }

  /// - Returns: nil where fetch `id` is not the proof's.
  mutating func probeEnded(_ id: Int, error: TransferError?, now: Moment) -> [Action]? {
    guard asks(id) || compares(id) else { return nil }
    if case .comparing(let overlaps, _) = proof {
      proof = error == nil ? .reading(overlaps) : .comparing(overlaps, nil)
      if error == nil { return [] }
    } else {
      proof = .asking(nil)
    }
    // A page in place of the file may speak of the link; again under the next one, it is an origin that cannot be asked.
    if case .wrongAnswer = error, wrongAnswers > 0 { return disprove() }
    return failed(error ?? .cancelled, epoch: epoch, generation: generation, start: 0, now: now)
  }

  /// For the end of all fetches: what the proof was about is asked again later.
  mutating func endProbe() -> [Action] {
    switch proof {
    case .asking(let id?):
      proof = .asking(nil)
      return [.cancel(id: id)]
    case .comparing(let overlaps, let id?):
      proof = .comparing(overlaps, nil)
      return [.cancel(id: id)]
    default: return []
    }
  }

  // MARK: Parts

  private mutating func prove(_ now: Moment) -> Gain {
    proof = .given
    return believe(unproven.ranges.flatMap { unchecked.missing(in: $0) }, now: now)
  }

  /// What of `ranges` was not dropped meanwhile is in the file as if just written.
  private mutating func believe(_ ranges: [ByteRange], now: Moment) -> Gain {
    var gain: Gain = ([], [])
    for range in ranges {
      for piece in RangeSet(unproven.missing(in: range)).missing(in: range) {
        unproven.remove(piece)
        let (blocks, actions) = written(piece, now: now)
        if let blocks { gain.blocks.append(blocks) }
        gain.actions += actions
      }
    }
    return gain
  }

  private mutating func drop(_ range: ByteRange) {
    for piece in RangeSet(unproven.missing(in: range)).missing(in: range) {
      unproven.remove(piece)
      lost(piece)
    }
  }

  /// Both ends of each extent, of the largest extents: a small one is fetched as fast as it is compared.
  private mutating func findOverlaps() {
    let extents = unproven.ranges.sorted { ($1.count, $0.start) < ($0.count, $1.start) }
    for small in extents.dropFirst(settings.extentsCompared) { drop(small) }
    let overlap = settings.overlap
    let overlaps = unproven.ranges.flatMap { extent in
      extent.count <= 2 * overlap
        ? [extent] : [ByteRange(extent.start, extent.start + overlap), ByteRange(extent.end - overlap, extent.end)]
    }
    proof = .comparing(overlaps, nil)
  }
}
