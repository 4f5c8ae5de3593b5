import ControlModel
import Core
import EventLoop
import Volume

/// What moves while people look: who reads, how far they are, how fast it goes. Kept by looks, which somebody who shows it takes a few times a
/// second; without one nothing here costs anything.
struct LiveFigures {
  /// What is told of an item, but for its names: changed means worth telling.
  struct Glimpse: Equatable {
    var state: StagedItem.State
    var pinned: Bool
    var windowed: Bool
    var tileRef: Int
    var openRef: Int
    var fetched: Int64
    var served: Int64
    var read: Int64
    var failure: String?
  }

  struct Meters {
    var fetched = Meter()
    var served = Meter()
  }

  var glimpses: [UInt64: Glimpse] = [:]
  var ids: [UInt64: String] = [:]
  var meters: [UInt64: Meters] = [:]
  /// Of open handles, as the last look into /proc found them.
  var places: [HandleID: Readers.Place] = [:]
  var placesTime: Moment?
  var isLooking = false
}

/// What became of the items since the last look.
package struct ItemsLook: Sendable, Equatable {
  /// New, or changed; by order of staging.
  package var changed: [StagedItem]
  /// Their ids.
  package var gone: [String]

  package init(changed: [StagedItem], gone: [String]) {
    self.changed = changed
    self.gone = gone
  }
}

extension StagedVolume {
  /// Cells of an item's map.
  private static var mapCells: Int { 128 }

  /// Looks at all items; for one watcher, who is told each change once. A few times a second: the rates are made of the looks.
  package func look() -> ItemsLook {
    let now = surroundings.clock.now()
    let live = liveUse
    var look = ItemsLook(changed: [], gone: [])
    var changed: [Tile] = []
    // Of a thousand items at rest, each costs a comparison and no more.
    for (seq, tile) in tiles.tiles {
      let glimpse = glimpse(tile, live: live)
      let before = self.live.glimpses[seq]
      if before == glimpse, self.live.meters[seq] == nil { continue }
      let rates = self.live.meters[seq].map { ($0.fetched.rate, $0.served.rate) }
      // An item at rest has no meter.
      var meters = self.live.meters[seq] ?? LiveFigures.Meters()
      meters.fetched.note(glimpse.fetched, at: now)
      meters.served.note(glimpse.served, at: now)
      let isAtRest = before == glimpse && glimpse.openRef == 0 && meters.fetched.rate == nil && meters.served.rate == nil
      self.live.meters[seq] = isAtRest ? nil : meters
      let ratesNow = self.live.meters[seq].map { ($0.fetched.rate, $0.served.rate) }
      guard before != glimpse || rates?.0 != ratesNow?.0 || rates?.1 != ratesNow?.1 else { continue }
      self.live.glimpses[seq] = glimpse
      self.live.ids[seq] = tile.entry.id
      changed.append(tile)
    }
    look.changed = changed.sorted { $0.entry.seq < $1.entry.seq }.map { item($0, live: live) }
    if self.live.glimpses.count > tiles.tiles.count {
      for seq in self.live.glimpses.keys.filter({ tiles.tiles[$0] == nil }).sorted() {
        if let id = self.live.ids.removeValue(forKey: seq) { look.gone.append(id) }
        self.live.glimpses[seq] = nil
        self.live.meters[seq] = nil
      }
    }
    if !tiles.handles.isEmpty { lookForReaders() }
    return look
  }

  // MARK: Readers

  /// Finds out where the readers are, unless that was done just now.
  package func findReaders() async {
    guard !tiles.handles.isEmpty else { return }
    if let time = live.placesTime, surroundings.clock.now() - time < .milliseconds(500) { return }
    await withCheckedContinuation { continuation in lookForReaders { continuation.resume() } }
  }

  /// One look at a time, on a worker thread.
  private func lookForReaders(done: @escaping @DispatchLoop () -> Void = {}) {
    guard !live.isLooking, let host else { return done() }
    live.isLooking = true
    let questions = tiles.handles.compactMap { handle, seq -> Readers.Question? in
      guard let entry = tiles.tiles[seq]?.entry else { return nil }
      return Readers.Question(
        handle: handle, thread: host.opener(of: handle), path: "/Staged/\(entry.id)/\(entry.name)", known: live.places[handle])
    }
    EventLoop.dispatch.background({ Readers.look(for: questions) }) { [weak self] places in
      DispatchLoop.assumeIsolated {
        if let self {
          self.live.isLooking = false
          self.live.places = places
          self.live.placesTime = self.surroundings.clock.now()
        }
        done()
      }
    }
  }

  /// By handle: who it is, and how far.
  func readers(of seq: UInt64) -> [StagedItem.Reader] {
    guard let host else { return [] }
    return tiles.handles.filter { $0.value == seq }.keys.sorted { $0.rawValue < $1.rawValue }.map { handle in
      let place = live.places[handle]
      return StagedItem.Reader(
        pid: Int(place?.pid ?? host.opener(of: handle)), process: place?.process ?? "",
        position: Self.position(place, use: host.use(of: handle)))
    }
  }

  /// How far a reader is: the kernel reads ahead of it, so its own position says it better, where it has one. A seek over what was never read
  /// does not count.
  nonisolated static func position(_ place: Readers.Place?, use: HandleUse) -> Int64 {
    guard let place, place.position > 0 else { return use.furthest }
    return min(place.position, use.furthest)
  }

  // MARK: Items

  func glimpse(_ tile: Tile, live uses: [UInt64: LiveUse]) -> LiveFigures.Glimpse {
    let entry = tile.entry
    var fetched: Int64 = 0
    if case .standing(let generation) = tile.bytes { fetched = stores.bytesPresent(of: generation) }
    let failure = belongings[entry.seq]?.failure.sentence
    let state: StagedItem.State =
      if tile.order == 0 { .leaving } else if failure != nil { .failed } else { tile.openRef > 0 ? .open : .ready }
    let open = uses[entry.seq]
    let read = open?.position ?? min(tile.use.bytes, tile.use.furthest)
    return LiveFigures.Glimpse(
      state: state, pinned: tile.isPinned, windowed: stores.isWindowed(tile), tileRef: tile.tileRef, openRef: tile.openRef,
      fetched: fetched, served: min(tile.served, .max - (open?.bytes ?? 0)) + (open?.bytes ?? 0), read: min(max(0, read), entry.size),
      failure: failure)
  }

  /// What went through the handles of an item that are still open, and the furthest of them.
  struct LiveUse {
    var bytes: Int64 = 0
    var position: Int64 = 0
  }

  var liveUse: [UInt64: LiveUse] {
    guard let host else { return [:] }
    var uses: [UInt64: LiveUse] = [:]
    for (handle, seq) in tiles.handles {
      let use = host.use(of: handle)
      uses[seq, default: LiveUse()].bytes &+= max(0, use.bytes)
      uses[seq, default: LiveUse()].position = max(uses[seq]?.position ?? 0, Self.position(live.places[handle], use: use))
    }
    return uses
  }

  func map(_ tile: Tile) -> String {
    guard tile.entry.size > 0 else { return "" }
    guard case .standing(let generation) = tile.bytes else { return String(repeating: "0", count: Self.mapCells) }
    return String(stores.presence(of: generation, cells: Self.mapCells).map { Character(String($0, radix: 16)) })
  }
}
