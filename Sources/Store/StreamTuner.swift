import Core

/// How many ranges the filler keeps in flight and how large its parts are, from the rate measured.
///
/// It climbs: one stream more is kept where the total rate grows by more than a tenth, else given back; now and then one less is tried and kept
/// where nothing is lost by it. So an origin that limits each connection gets several, and one that limits the total gets one, whose bytes come in
/// the order a sequential reader wants them.
struct StreamTuner: Equatable {
  private enum Probe: Equatable { case none, more, fewer }

  let limit: Int
  /// Streams to keep in flight now.
  private(set) var streams: Int
  /// Bytes per second, all streams together; 0 until measured.
  private(set) var rate = 0.0

  private var probe = Probe.none
  private var settled: Int
  private var settledRate = 0.0
  /// Windows until the next probe, and how many that will be the time after.
  private var pause = 0
  private var nextPause = 4
  private var triesFewer = false
  private var isSettling = false

  private var windowStart: Moment?
  private var windowBytes: Int64 = 0
  private var isFair = true

  static let window = Duration.milliseconds(500)

  init(start: Int, limit: Int) {
    self.limit = max(1, limit)
    streams = max(1, min(start, limit))
    settled = streams
  }

  /// Bytes of one stream while the part runs for about half a second.
  var partSize: Int64 {
    guard rate > 0 else { return 2 << 20 }
    let bytes = rate / Double(streams) * 0.5
    return bytes >= Double(16 << 20) ? 16 << 20 : max(1 << 20, Int64(bytes))
  }

  /// `count` bytes came while `active` ranges were in flight.
  mutating func received(_ count: Int64, active: Int, now: Moment) {
    guard let start = windowStart else {
      windowStart = now
      windowBytes = 0
      isFair = active == streams
      return
    }
    windowBytes += count
    if active != streams { isFair = false }
    let elapsed = (now - start).seconds
    guard elapsed >= Self.window.seconds else { return }
    windowStart = now
    let measured = Double(windowBytes) / elapsed
    rate = rate == 0 ? measured : 0.5 * rate + 0.5 * measured
    let counts = isFair
    windowBytes = 0
    isFair = true
    guard counts else { return }
    if isSettling { isSettling = false } else { judge(measured) }
  }

  /// Nothing is in flight: time that passes now says nothing about the origin.
  mutating func idle() { windowStart = nil }

  private mutating func judge(_ measured: Double) {
    switch probe {
    case .more:
      if measured > settledRate * 1.1 { accept(measured) } else { revert() }
    case .fewer:
      if measured * 1.1 > settledRate { accept(measured) } else { revert() }
    case .none:
      settledRate = settledRate == 0 ? measured : 0.5 * settledRate + 0.5 * measured
      pause -= 1
      if pause < 0 { startProbe() }
    }
  }

  private mutating func startProbe() {
    if !triesFewer, streams < limit {
      begin(.more, streams + 1)
    } else if streams > 1 {
      begin(.fewer, streams - 1)
    } else {
      triesFewer = false
      pause = nextPause
    }
  }

  private mutating func begin(_ next: Probe, _ count: Int) {
    probe = next
    streams = count
    isSettling = true
  }

  private mutating func accept(_ measured: Double) {
    settled = streams
    settledRate = measured
    nextPause = 4
    // The same way once more, if there is room.
    if probe == .more, streams < limit {
      begin(.more, streams + 1)
    } else if probe == .fewer, streams > 1 {
      begin(.fewer, streams - 1)
    } else {
      end()
    }
  }

  private mutating func revert() {
    streams = settled
    isSettling = true
    let wasMore = probe == .more
    end()
    // More did not help: at once see whether fewer do as well. Fewer did not: it will be long before the next try.
    triesFewer = wasMore
    pause = wasMore ? 0 : nextPause
    if !wasMore { nextPause = min(64, nextPause * 2) }
  }

  private mutating func end() {
    probe = .none
    triesFewer = false
    pause = nextPause
  }
}
