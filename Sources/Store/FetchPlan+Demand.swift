import Core

/// Demand: the bytes that somebody waits for. It goes before everything else.
extension FetchPlan {
  enum ReadAnswer: Equatable { case present, waiting, failed(Errno) }

  /// A reader wants `range` (not empty, inside the file) and is known as `waiter` from now on.
  /// - Parameter since: when he began to wait, had he waited all the time; nil: now.
  mutating func read(_ range: ByteRange, waiter: Int, since: Moment? = nil, now: Moment) -> (ReadAnswer, [Action]) {
    speculation.read(range)
    cursors.read(range, held: held, size: size)
    guard let missing = extents.firstMissing(in: range)?.start else { return (.present, []) }
    if let permanentFailure { return (.failed(permanentFailure), []) }
    if isHalted || (isReported && waiters.isEmpty) {
      // What failed was told to those who waited then, and is forgotten.
      isHalted = false
      failures = 0
      linkFailures = 0
      wrongAnswers = 0
      emptyWholes = 0
      if !hasServerPause { notBefore = min(notBefore, now + settings.backoff) }
    }
    if waiters.isEmpty { turnBegan = now }
    waiters.add(.init(id: waiter, range: range, since: since ?? now, missing: missing))
    // Among many who get nothing the newest is tried first: what it wants may come.
    if lacksConnection { demandCursor = range.start }
    return (.waiting, needLink(now))
  }

  /// Bytes that are there were read without asking for them.
  mutating func touched(_ range: ByteRange) {
    speculation.used(range)
    cursors.read(range, held: held, size: size)
  }

  mutating func needLink(_ now: Moment) -> [Action] {
    if let linkExpires, now >= linkExpires, linkState == .ready, !isRenewing { linkState = .none }
    guard linkState == .none, now >= notBefore, permanentFailure == nil, !isHalted, !waiters.isEmpty || wantsMoreBytes else { return [] }
    linkState = .pending
    return [.newLink]
  }

  /// Whether a waiter's first missing byte needs a fetch of its own. A fetch that will be there soon, or bytes that are being written, do.
  func nextDemand() -> Int64? {
    nextDemand(in: ByteRange(min(demandCursor, size), size)) ?? nextDemand(in: ByteRange(0, min(demandCursor, size)))
  }

  private func nextDemand(in range: ByteRange) -> Int64? {
    var cursor = range.start
    while cursor < range.end, let offset = waiters.firstMissing(in: ByteRange(cursor, range.end)) {
      if held.contains(offset) {
        cursor = held.firstMissing(in: ByteRange(offset, size))?.start ?? size
      } else if let fetch = fetches.first(where: { $0.inFlight.contains(offset) }) {
        guard isWholeOnly || offset - fetch.position <= reach else { return offset }
        cursor = isWholeOnly ? fetch.limit : min(fetch.limit, fetch.position + reach + 1)
      } else {
        return offset
      }
    }
    return nil
  }

  /// Whether starting is possible at all now.
  func isOpen(_ now: Moment) -> Bool {
    linkState == .ready && now >= notBefore && !isHalted && permanentFailure == nil && comparison == nil
      && trial.flatMap(fetch) == nil && proof == .given
  }

  /// Whether a connection is wanted for bytes somebody waits for (or for the proof or comparison that all else waits for).
  func wantsDemand(_ now: Moment) -> Bool {
    if canProbe(now) { return !waiters.isEmpty || wantsMoreBytes }
    if case .wanted(let offset) = comparison {
      return linkState == .ready && now >= notBefore && !isHalted && overlap(near: offset) != nil
    }
    guard isOpen(now) else { return false }
    if wantsTrial { return !waiters.isEmpty || wantsMoreBytes }
    guard !waiters.isEmpty else { return false }
    guard isWholeOnly ? fetches.isEmpty : fetches.count < connectionCap || victim() != nil else { return false }
    return nextDemand() != nil
  }

  /// Takes a connection for demand. May cut or cancel what is in the way.
  mutating func startDemand(_ now: Moment) -> [Action] {
    guard wantsDemand(now) else { return [] }
    if let range = nextProbe { return startProbe(range) }
    if case .wanted(let offset) = comparison, let range = overlap(near: offset) {
      let id = nextID
      nextID += 1
      comparison = .fetching(id: id, range)
      return [.probe(id: id, range: range)]
    }
    if wantsTrial { return startTrial(now) }
    guard let offset = nextDemand() else { return [] }
    var actions: [Action] = []
    if fetches.count >= connectionCap { actions += preempt() }
    if isWholeOnly { return actions + startWhole(isDemand: true, now) }

    let cut = fetches.firstIndex { $0.inFlight.contains(offset) }
    // From the block's beginning, so far as nobody has or gets those bytes.
    var start = held.missing(in: ByteRange(roundDown(offset, to: settings.grain), offset + 1)).last?.start ?? offset
    for fetch in fetches where !fetch.inFlight.isEmpty && fetch.limit <= offset { start = max(start, fetch.limit) }

    readAhead = start == lastDemandEnd ? min(settings.readAheadLimit, readAhead * 2) : settings.readAhead
    let wanted = max(waiters.furthestEnd(missing: offset), advance(start, by: readAhead))
    var cutLimit: Int64?
    if let cut {
      cutLimit = fetches[cut].limit
      start = max(start, fetches[cut].position)
      fetches[cut].limit = start
      actions.append(.stop(id: fetches[cut].id, at: start))
    }
    let gap = freeGap(from: start, to: size) ?? ByteRange(start, size)
    var end = min(roundUp(min(wanted, size), to: settings.grain), gap.end)
    // No crumbs between this and the end of what was cut.
    if let cutLimit, cutLimit > end, cutLimit - end < settings.readAhead { end = min(cutLimit, gap.end) }
    let fetch = makeFetch(ByteRange(gap.start, end), isDemand: true, now)
    lastDemandEnd = end
    demandCursor = end >= size ? 0 : end
    actions.append(.start(id: fetch.id, range: ByteRange(fetch.start, fetch.limit), isDemand: true))
    return actions
  }

  /// Bytes that are held already may come again; nothing that is in flight does.
  private mutating func startTrial(_ now: Moment) -> [Action] {
    wantsTrial = false
    var end = roundUp(min(size, settings.readAhead))
    for fetch in fetches where !fetch.inFlight.isEmpty { end = min(end, fetch.inFlight.start) }
    guard end > 0 else { return [] }
    let fetch = makeFetch(ByteRange(0, end), isDemand: true, now)
    trial = fetch.id
    return [.start(id: fetch.id, range: ByteRange(0, end), isDemand: true)]
  }

  mutating func startWhole(isDemand: Bool, _ now: Moment) -> [Action] {
    guard fetches.isEmpty else { return [] }
    wholeBroughtBytes = false
    let fetch = makeFetch(ByteRange(0, size), isDemand: isDemand, now)
    return [.start(id: fetch.id, range: ByteRange(0, size), isDemand: isDemand)]
  }

  /// Where what was received of a fetch since `from` is to be written although its buffer (to `limit`) has room: somebody is whole then.
  func flushPoint(from: Int64, to limit: Int64) -> Int64? { waiters.firstEnd(after: from, upTo: limit) }

  /// Whether somebody waits for bytes in `range`; they are written before others.
  func isWaited(for range: ByteRange) -> Bool { waiters.firstMissing(in: range) != nil }
}
