import ControlClient
import ControlModel
import Core
import TerminalUI

/// The state behind `fsmvp status --watch`, as a value: signs of the control plane go in, a screen or lines come out.
/// `WatchVerb` owns it; it knows no terminal and no socket.
struct Watch {
  private(set) var status: ControlStatus?
  /// When `status` came; its uptime goes on from there.
  private(set) var statusTime: Moment?
  private(set) var cache: CacheReport?
  /// By order of staging.
  private(set) var items: [StagedItem] = []
  /// The last ones, the newest last.
  private(set) var notices: [Notice] = []
  /// Why nothing is heard; nil: all is well.
  private(set) var lost: ClientFailure?
  var size = Terminal.Size(columns: 80, rows: 24)
  /// Items that are scrolled past.
  private(set) var skipped = 0
  private var told: [String: String] = [:]
  private var toldStatus = ""

  private static let mostNotices = 3

  // MARK: Events

  /// - Returns: lines that tell of it where there is no screen.
  mutating func hear(_ sign: EventStream.Sign, at now: Moment) -> [String] {
    switch sign {
    case .quiet: return []
    case .lost(let failure):
      defer { lost = failure }
      return failure == lost ? [] : ["lost: \(failure.message)"]
    case .event(let event):
      let isBack = lost != nil
      lost = nil
      return (isBack ? ["back"] : []) + take(event, at: now)
    }
  }

  private mutating func take(_ event: ControlEvent, at now: Moment) -> [String] {
    switch event {
    case .snapshot(let snapshot):
      let ids = Set(snapshot.items.map(\.id))
      let gone = items.map(\.id).filter { !ids.contains($0) }
      items = snapshot.items
      (status, statusTime, cache) = (snapshot.status, now, snapshot.cache)
      return statusLines() + gone.flatMap { goneLines($0) } + items.flatMap { lines(of: $0) }
    case .item(let item):
      if let index = items.firstIndex(where: { $0.id == item.id }) { items[index] = item } else { items.append(item) }
      return lines(of: item)
    case .gone(let gone):
      items.removeAll { $0.id == gone.id }
      return goneLines(gone.id)
    case .status(let status):
      (self.status, statusTime) = (status, now)
      return statusLines()
    case .cache(let report):
      cache = report
      return []
    case .latency: return []
    case .notice(let notice):
      notices = notices.suffix(Self.mostNotices - 1) + [notice]
      return ["\(notice.level.rawValue): \(notice.message)"]
    }
  }

  // MARK: Keys

  enum KeyMeaning: Equatable { case none, scrolled, leave, interrupt }

  mutating func take(_ key: Key) -> KeyMeaning {
    switch key {
    // Several at once.
    case .text(let typed) where typed.count > 1:
      let meanings = typed.map { take(.text(String($0))) }
      return meanings.first { $0 == .leave } ?? (meanings.contains(.scrolled) ? .scrolled : .none)
    case .control("c"): return .interrupt
    case .escape, .text("q"), .text("Q"): return .leave
    case .down, .text("j"): skipped += 1
    case .up, .text("k"): skipped -= 1
    case .pageDown, .text(" "): skipped += 5
    case .pageUp: skipped -= 5
    case .home: skipped = 0
    case .end: skipped = items.count - 1
    default: return .none
    }
    skipped = min(max(0, skipped), max(0, items.count - 1))
    return .scrolled
  }

  // MARK: Lines

  /// Items that move or failed first, then the newest.
  var ordered: [StagedItem] {
    func rank(_ item: StagedItem) -> Int {
      switch item.state {
      case .open, .leaving: 0
      case .failed: 1
      case .ready: item.isComing ? 0 : 2
      }
    }
    let ranked = items.enumerated().map { (rank: rank($1), age: -$0, item: $1) }
    return ranked.sorted { ($0.rank, $0.age) < ($1.rank, $1.age) }.map(\.item)
  }

  private mutating func statusLines() -> [String] {
    guard let status else { return [] }
    var line = "status: \(status.shim.state.rawValue)"
    if let reason = status.shim.reason { line += " (\(reason))" }
    line += ", \(status.staged) staged, \(status.openHandles) open"
    if status.sleepInhibited == true { line += ", sleep held off" }
    guard line != toldStatus else { return [] }
    toldStatus = line
    return [line]
  }

  /// A line where it says something else than the item's last one.
  private mutating func lines(of item: StagedItem) -> [String] {
    let line =
      "\(item.id) \(Self.words(item)); fetched \(ByteCount.percent(item.bytesFetched, of: item.size)) %, "
      + "read \(ByteCount.percent(item.bytesRead, of: item.size)) %: \(item.name), for \(item.recipient)"
    guard told[item.id] != line else { return [] }
    told[item.id] = line
    return [line]
  }

  private mutating func goneLines(_ id: String) -> [String] {
    told.removeValue(forKey: id) == nil ? [] : ["\(id) gone"]
  }

  // MARK: Words

  /// The state as a person says it.
  static func words(_ item: StagedItem) -> String {
    let pinned = item.pinned ? ", pinned" : ""
    switch item.state {
    case .failed: return "failed: \(item.failure ?? "it is not known why")" + pinned
    case .leaving: return "unstaged, still read by \(readers(item))"
    case .open: return "read by \(readers(item))" + pinned
    case .ready:
      if item.isComing { return "being fetched" + pinned }
      return (item.bytesRead >= item.size && item.size > 0 ? "read to its end" : "ready") + pinned
    }
  }

  /// "chromium (123), cp (124)"
  static func readers(_ item: StagedItem) -> String {
    guard !item.readers.isEmpty else { return item.openRef == 1 ? "one" : "\(item.openRef)" }
    var names: [String] = []
    for reader in item.readers {
      let name = reader.process.isEmpty ? "pid \(reader.pid)" : "\(reader.process) (\(reader.pid))"
      if !names.contains(name) { names.append(name) }
    }
    return names.count > 3
      ? names.prefix(2).joined(separator: ", ") + " and \(names.count - 2) more" : names.joined(separator: ", ")
  }
}

extension StagedItem {
  /// Whether bytes come from the origin, and more are to come.
  var isComing: Bool { fetchRate != nil && bytesFetched < size }
}
