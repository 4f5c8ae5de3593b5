import ByteSource
import Core

/// Bytes of another answer, or of an earlier process, are used only if `version` finds that they are of the same
/// version as those here.
///
/// Bytes that an earlier process left are also checked block by block against their sums (`checked`). Until both are
/// done they are held, so that they are not fetched, and not present, so that no reader gets them. It is a part of the
/// pure value that the file's `FetchEngine` owns.
extension FetchPlan {
  /// Blocks to mark before the actions are taken.
  typealias Gain = (blocks: [Range<Int>], actions: [Action])

  /// Begins with bytes that an earlier process left, which came under `validators`.
  mutating func begin(unproven left: RangeSet, validators: [Validator] = []) {
    guard !left.isEmpty else { return }
    bytes.begin(left: left)
    version = SourceVersion(left: validators)
  }

  /// Begins with bytes that were vouched for all the time, which came under `validators`.
  mutating func begin(present ranges: RangeSet, validators: [Validator] = []) {
    bytes.begin(present: ranges)
    // Which validators is not always known; a comparison with these bytes tells then.
    if !ranges.isEmpty {
      version = SourceVersion(given: SourceHeritage(validators: validators, words: [Validator().word]))
    }
  }

  /// Begins without bytes, of which readers have some from another store.
  mutating func begin(following heritage: SourceHeritage) { version = SourceVersion(given: heritage) }

  /// Readers have bytes of the file from another store. Without effect if this one has bytes, or had an answer.
  mutating func follow(_ heritage: SourceHeritage) { version.follow(heritage) }

  // MARK: Sums

  /// The bytes to check next, at most `limit`: first those that a reader waits for, else from the start; none while no
  /// bytes are wanted.
  func nextCheck(limit: Int64) -> ByteRange? {
    guard isFilling || !waiters.isEmpty else { return nil }
    for range in unchecked.ranges {
      guard let missing = waiters.firstMissing(in: range) else { continue }
      let start = max(range.start, roundDown(missing))
      return ByteRange(start, min(range.end, advance(start, by: limit)))
    }
    return unchecked.ranges.first.map { ByteRange($0.start, min($0.end, advance($0.start, by: limit))) }
  }

  /// The sums of `range` were compared with the file: `good` agrees.
  mutating func checked(_ range: ByteRange, good: [ByteRange], now: Moment) -> Gain {
    bytes.checked(range, good: good)
    guard !unproven.isEmpty else { return ([], version.isLeft ? disprove() : []) }
    if !version.isLeft { return believe(good, now: now) }
    compareLeft()
    return ([], [])
  }

  // MARK: Probes

  /// The bytes to fetch for `version`: one for the origin's validator, or an overlap.
  var nextProbe: ByteRange? {
    // The head of its answer is what counts.
    if version.wantsHead { return unproven.ranges.first.map { ByteRange($0.start, $0.start + 1) } }
    return version.nextOverlap ?? (version.wantsOverlaps && !version.isLeft ? nearOverlap() : nil)
  }

  func canProbe(_ now: Moment) -> Bool {
    access.isReady && backoff.isOver(now) && (!outcome.isHalted || version.isRechecking) && nextProbe != nil
      && (!version.isLeft || !waiters.isEmpty || wantsMoreBytes)
  }

  /// - Parameter isAgain: the one before it brought nothing, so this one has a connection of its own.
  mutating func startProbe(_ range: ByteRange, isAgain: Bool = false, now: Moment) -> [Action] {
    if version.wantsOverlaps { version.compare(overlaps()) }
    let id = drawID()
    version.requested(id)
    probing.began(id, now)
    return [.probe(id: id, range: range, isFresh: isAgain || probing.failed)]
  }

  /// Bytes in the file next to the first suspect, at most `settings.overlap`. For a window it is a part whose sum is
  /// known, because the bytes may be gone.
  private func nearOverlap() -> ByteRange? {
    // An origin without ranges can only be asked for the beginning.
    guard !isWholeOnly else { return firstOverlap.flatMap { $0.start == 0 ? $0 : nil } }
    let offset = version.firstSuspect.flatMap(fetch)?.start ?? 0
    if isBounded { return samples.min { abs($0.start - offset) < abs($1.start - offset) } }
    let before = extents.ranges.last { $0.start < offset }.map { extent in
      let end = min(extent.end, offset)
      return ByteRange(max(extent.start, end - settings.overlap), end)
    }
    return before ?? firstOverlap
  }

  private var firstOverlap: ByteRange? {
    extents.ranges.first.map { ByteRange($0.start, min($0.end, $0.start + settings.overlap)) }
  }

  /// The bytes to compare for the first suspect: the near ones, and if its validator claims another version also many
  /// more.
  func overlaps() -> [ByteRange] {
    guard let near = nearOverlap() else { return [] }
    let claim = version.claim
    guard claim != .none, !isWholeOnly else { return [near] }
    return [near] + wideOverlaps(claim).filter { $0.start < near.start || $0.end > near.end }
  }

  /// All bytes here if the whole validator is new and they are not too many to compare; else parts of them, spread
  /// evenly, and both ends. All parts whose sums are known, for a window.
  private func wideOverlaps(_ claim: SourceVersion.Claim) -> [ByteRange] {
    guard !isBounded else { return samples }
    if claim == .wholly, presentCount <= settings.comparedWhole {
      return extents.ranges.flatMap { extent in
        stride(from: extent.start, to: extent.end, by: Int(settings.overlapLimit)).map {
          ByteRange($0, min(extent.end, $0 + settings.overlapLimit))
        }
      }
    }
    var parts = RangeSet()
    var (before, next): (Int64, Int64) = (0, 0)
    let step = max(settings.overlap, presentCount / Int64(settings.overlapsSpread))
    for extent in extents.ranges {
      while next < before + extent.count {
        let start = extent.start + next - before
        parts.insert(ByteRange(start, min(extent.end, start + settings.overlap)))
        next += step
      }
      before += extent.count
    }
    if let last = extents.ranges.last {
      parts.insert(ByteRange(max(last.start, last.end - settings.overlap), last.end))
    }
    return parts.ranges
  }

  /// Asks the origin whether it still has the version that readers have bytes of: `.rechecked`.
  mutating func recheck(_ now: Moment) -> [Action] {
    guard let first = isBounded ? samples.last : firstOverlap else { return [.rechecked(isChanged: false)] }
    // In a window only whole samples can be compared.
    let question = isBounded ? first : ByteRange(first.start, first.start + 1)
    let all = isWholeOnly ? [first] : wideOverlaps(.wholly)
    guard version.recheck(question, few: isBounded ? [] : [first], all: all) else {
      return [.rechecked(isChanged: false)]
    }
    return needAccess(now)
  }

  /// The origin cannot be asked now, and nothing else is known.
  mutating func endRecheck() -> [Action] {
    guard version.isRechecking else { return [] }
    version.endRecheck()
    return [.rechecked(isChanged: false)]
  }

  // MARK: Answers

  /// The head of request `id`'s answer came.
  /// - Parameter isWhole: the answer is the object from 0 to its end, whatever was asked.
  /// - Returns: whether the request goes on. It may be held back (`isHeld`) until `.release`.
  mutating func headCame(_ id: Int, _ validator: Validator, isWhole: Bool, now: Moment) -> (goesOn: Bool, gain: Gain) {
    if version.asks(id) || version.compares(id) { return probeHeadCame(id, validator, now: now) }
    guard let fetch = fetches[id: id] else { return (false, ([], [])) }
    guard fetch.id == id else { return hedgeHeadCame(id, validator, isWhole: isWhole) }
    let hasOther = fetches.contains { $0.id != id && $0.mayBring } || fetch.hedge?.hasHead == true
    let isAlone = heldCount == 0 && samples.isEmpty && !hasOther
    headCame(id, isWhole: isWhole)
    if version.judge(validator, of: id, isAlone: isAlone) == .compare {
      // The request beside it has an answer of the right version.
      if fetch.hedge?.hasHead == true {
        version.forget(id)
        leave(id)
        return (false, ([], []))
      }
      hold(id)
      return (true, ([], flushForOverlaps()))
    }
    let actions = began(id, isWhole: isWhole, now: now)
    return (fetches[id: id] != nil, ([], actions))
  }

  /// A request beside a silent one has its answer first: if its bytes have to be compared, they take the place of the
  /// silent one's.
  private mutating func hedgeHeadCame(_ id: Int, _ validator: Validator, isWhole: Bool) -> (goesOn: Bool, gain: Gain) {
    guard let fetch = fetches[id: id], !isWhole else {
      leave(id)
      return (false, ([], []))
    }
    let verdict = version.judge(validator, of: id, isAlone: false)
    if verdict == .compare, fetch.isHeld {
      version.forget(id)
      leave(id)
      return (false, ([], []))
    }
    guard verdict == .compare || fetch.isHeld else {
      headCame(id, isWhole: false)
      return (true, ([], []))
    }
    // The answer to the silent one would first have to be compared, or it never came and this one has to be.
    version.forget(fetch.id)
    leave(fetch.id)
    headCame(id, isWhole: false)
    if verdict == .compare { hold(id) }
    return (true, ([], [.cancel(id: fetch.id)] + flushForOverlaps()))
  }

  private mutating func probeHeadCame(_ id: Int, _ validator: Validator, now: Moment) -> (goesOn: Bool, gain: Gain) {
    let isQuestion = version.asks(id)
    switch version.headCame(id, validator) {
    case .same: return (true, prove(now))
    case .startAfresh: return (false, ([], disprove()))
    case .compare, .refuse:
      if isQuestion { compareLeft() }
      return (true, ([], []))
    }
  }

  /// Request `id` ended.
  mutating func forgetAnswer(_ id: Int) { version.forget(id) }

  /// An answer named another length.
  mutating func lengthDiffers(_ found: Int64, _ now: Moment) -> [Action] {
    if case .refuse(let refusal) = version.lengthDiffers(found) { return refuse(refusal, now) }
    return askAgain(now)
  }

  func isHeld(_ id: Int) -> Bool { fetch(id)?.isHeld ?? false }

  /// An overlap that request `id` brought was compared with the bytes here.
  mutating func compared(isEqual: Bool, now: Moment) -> Gain {
    let wasLeft = version.isLeft
    switch version.compared(isEqual: isEqual) {
    case .goesOn: return ([], [])
    case .decided(.startAfresh, _): return ([], disprove())
    case .decided(.same, _) where wasLeft: return prove(now)
    case .decided(let verdict, let ids): return ([], decided(verdict, ids, now))
    case .rechecked(let isChanged): return ([], [.rechecked(isChanged: isChanged)])
    case .stray(let ids):
      let actions = giveUpAnswers(ids)
      // The origin does answer, so failures from before are no reason to wait long.
      backOff(now, longest: settings.backoff.longest / 4)
      return ([], actions)
    }
  }

  /// A suspect waits for an overlap, and there is none and none will come.
  var hasNothingToCompare: Bool {
    version.wantsOverlaps && !version.isLeft && fetches.allSatisfy(\.isHeld) && (isBounded || heldCount == presentCount)
      && nearOverlap() == nil
  }

  mutating func hadNothingToCompare(_ now: Moment) -> [Action] {
    guard case .decided(let verdict, let ids) = version.hadNothingToCompare() else { return [] }
    return decided(verdict, ids, now)
  }

  private mutating func decided(_ verdict: SourceVersion.Verdict, _ ids: [Int], _ now: Moment) -> [Action] {
    switch verdict {
    case .same, .startAfresh: return ids.flatMap { release($0, now) }
    case .compare: return giveUpAnswers(ids) + askAgain(now)
    case .refuse(let refusal): return giveUpAnswers(ids) + refuse(refusal, now)
    }
  }

  private mutating func release(_ id: Int, _ now: Moment) -> [Action] {
    guard let fetch = fetches[id: id], fetch.isHeld else { return [] }
    releaseFetch(id, now)
    let actions = began(id, isWhole: fetch.isWhole, now: now)
    return actions + (fetches[id: id] == nil ? [] : [.release(id: id)])
  }

  private mutating func giveUpAnswers(_ ids: [Int]) -> [Action] {
    ids.compactMap { fetch($0) }.flatMap { cancel($0) }
  }

  /// An answer contradicts the ones before it: it is not believed before the origin said so again, by another access
  /// and a little later.
  mutating func askAgain(_ now: Moment) -> [Action] {
    backOff(now)
    return replaceAccess()
  }

  mutating func refuse(_ refusal: SourceVersion.Refusal, _ now: Moment) -> [Action] {
    let change: SourceChange = if case .length(let found) = refusal { .otherLength(found) } else { .refused }
    return cancelAll() + giveUp(now, reason: refusal.sentence(size: size)) + [.changed(change)]
  }

  func flushForOverlaps() -> [Action] {
    version.wantsOverlaps && !version.isLeft && nearOverlap() == nil ? [.flush] : []
  }

  // MARK: The end of a probe

  /// - Returns: nil if request `id` is none of `version`'s.
  mutating func probeEnded(_ id: Int, error: SourceFailure?, now: Moment) -> [Action]? {
    guard version.asks(id) || version.compares(id) else { return nil }
    let isOverlap = version.compares(id)
    probing.ended(isComplete: error == nil)
    if let error, version.isRechecking {
      switch (error, error.remedy) {
      case (_, .newAccess): break
      // Another length is an answer, once the origin has said so by several accesses. Anything else is none, and no
      // reader waits for a byte.
      case (.sizeDiffers(_, let found), _):
        guard case .refuse = version.lengthDiffers(found) else {
          version.ended(id, isComplete: false)
          backOff(now, longest: settings.backoff.first / 2)
          return replaceAccess()
        }
        version.endRecheck()
        return [.changed(.otherLength(found)), .rechecked(isChanged: true)]
      default: return endRecheck()
      }
    }
    version.ended(id, isComplete: error == nil)
    if isOverlap, error == nil { return [] }
    // A page in place of the file may speak of the access; again under the next one, it is an origin that cannot be
    // asked.
    if case .wrongAnswer = error, backoff.wrongAnswers > 0, version.isLeft { return disprove() }
    return failed(error ?? .cancelled, epoch: backoff.epoch, generation: generation, start: 0, now: now)
  }

  /// For the end of all fetches. The question is asked again later.
  mutating func endProbe() -> [Action] { version.endRequests().map { [.cancel(id: $0)] } ?? [] }

  /// Bytes of a comparison came: a sign of life of the origin.
  mutating func probeReceived(_ now: Moment) {
    probing.heard(now)
    progressed(now)
  }

  /// When a request for a comparison that brings nothing is sent once more. Each try has twice the time of the one
  /// before: an origin may only take its time.
  var nextProbeAgain: Moment? {
    guard let began = probing.began, version.asks(probing.id) || version.compares(probing.id) else { return nil }
    return began + silence.patience(isFirst: true) * (1 << min(6, probing.tries))
  }

  /// Sends it once more, on a connection of its own.
  mutating func probeAgain(_ now: Moment) -> [Action] {
    guard let due = nextProbeAgain, due <= now, mayAsk(now) || version.isRechecking, access.isReady else { return [] }
    let old = probing.id
    version.ended(old, isComplete: false)
    probing.again()
    guard let range = nextProbe else { return [.cancel(id: old)] }
    return [.cancel(id: old)] + startProbe(range, isAgain: true, now: now)
  }

  // MARK: Bytes that were left

  /// They are of another version, or cannot be told to be of this one.
  mutating func disprove() -> [Action] {
    let cancels = endProbe()
    _ = version.drop()
    bytes.dropLeft()
    return cancels + [.unpin, .changed(.startedAfresh)]
  }

  private mutating func prove(_ now: Moment) -> Gain {
    believe(unproven.ranges.flatMap { unchecked.missing(in: $0) }, now: now)
  }

  /// The bytes of `ranges` that were not dropped meanwhile are in the file as if just written.
  private mutating func believe(_ ranges: [ByteRange], now: Moment) -> Gain {
    var gain: Gain = ([], [])
    for piece in bytes.believe(ranges) {
      let (blocks, actions) = written(piece, now: now)
      if let blocks { gain.blocks.append(blocks) }
      gain.actions += actions
    }
    return gain
  }

  /// Once all is checked: compares both ends of each extent, for the largest extents. A small one is fetched as fast as
  /// it is compared.
  private mutating func compareLeft() {
    guard version.isLeft, version.wantsOverlaps, unchecked.isEmpty else { return }
    let extents = unproven.ranges.sorted { ($1.count, $0.start) < ($0.count, $1.start) }
    for small in extents.dropFirst(settings.extentsCompared) { bytes.dropLeft(small) }
    let overlap = settings.overlap
    version.compare(
      unproven.ranges.flatMap { extent in
        extent.count <= 2 * overlap
          ? [extent] : [ByteRange(extent.start, extent.start + overlap), ByteRange(extent.end - overlap, extent.end)]
      })
  }
}
