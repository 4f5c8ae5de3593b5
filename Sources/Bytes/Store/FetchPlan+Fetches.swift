import Core

/// Transfers begin, are cut and end: the only part of the plan that changes `fetches`. The file's `FetchEngine` owns
/// the value.
extension FetchPlan {
  mutating func drawID() -> Int {
    defer { nextID += 1 }
    return nextID
  }

  mutating func makeFetch(_ range: ByteRange, isDemand: Bool, _ now: Moment) -> Fetch {
    let fetch = Fetch(
      id: drawID(), start: range.start, position: range.start, limit: range.end, isDemand: isDemand,
      generation: generation,
      epoch: backoff.epoch, lastBytes: now, timesGivenUp: silence.timesGivenUp(in: range))
    fetches.add(fetch)
    return fetch
  }

  /// Begins another transfer for what `fetch` is to bring next.
  mutating func beginHedge(of fetch: Fetch, _ now: Moment) -> Action {
    let id = drawID()
    fetches.begin(hedge: id, of: fetch.id, now)
    return .hedge(id: id, range: fetch.inFlight)
  }

  // MARK: Answers

  mutating func headCame(_ id: Int, isWhole: Bool) { fetches.headCame(id, isWhole: isWhole) }

  /// No byte of it is taken before `releaseFetch`.
  mutating func hold(_ id: Int) { fetches.hold(id) }
  mutating func releaseFetch(_ id: Int, _ now: Moment) { fetches.release(id, now) }

  /// The bytes of `id` before `end` came.
  mutating func fetchReceived(_ id: Int, upTo end: Int64, _ now: Moment) { fetches.received(id, upTo: end, now) }

  /// The bytes of transfer `id` were not taken, so its silence is not the origin's.
  mutating func excuse(_ id: Int, _ now: Moment) { fetches.excuse(id, now) }

  // MARK: Ends

  /// Ends `fetch` at `offset`.
  mutating func cut(_ fetch: Fetch, at offset: Int64) -> [Action] {
    fetches.cut(fetch.id, at: offset)
    return fetch.ids.map { .stop(id: $0, at: offset) }
  }

  /// Fetch `id` goes on to the end of the file.
  mutating func extendToEnd(_ id: Int) { fetches.cut(id, at: size) }

  /// Ends `fetch` now; what it has not brought is missing again.
  mutating func cancel(_ fetch: Fetch) -> [Action] {
    fetches.remove(fetch.id)
    return cancels(fetch)
  }

  func cancels(_ fetch: Fetch) -> [Action] { fetch.ids.map { .cancel(id: $0) } }

  mutating func cancelFetches() -> [Action] {
    defer { fetches.removeAll() }
    return fetches.flatMap { cancels($0) }
  }

  /// The fetch of transfer `id` is over.
  mutating func remove(_ id: Int) { fetches.remove(id) }

  /// Transfer `id`, one of a fetch's two, ended or has lost, and the other goes on.
  /// - Returns: the release of the other one's bytes, if those of `id` were held back and so all of them.
  @discardableResult mutating func leave(_ id: Int) -> [Action] {
    guard let fetch = fetches[id: id], let hedge = fetch.hedge else { return [] }
    fetches.leave(id)
    return fetch.isHeld && fetch.id == id ? [.release(id: hedge.id)] : []
  }
}
