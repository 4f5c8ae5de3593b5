import Core

/// How many ranges the filler keeps in flight and how large its parts are, from the rate measured.
///
/// It climbs: at first by doubling, as long as the rate grows with it, then by one at a time; what brings no tenth more
/// is given back, and now and then fewer are tried and kept where nothing is lost by it. So an origin that limits each
/// connection gets many within two seconds, and one that limits the total gets one, whose bytes come in the order a
/// sequential reader wants them. It is a value in the file's `FetchPlan`.
struct StreamTuner: Equatable {
  private enum Probe: Equatable { case none, more, fewer }

  let limit: Int
  let partLimit: Int64
  /// Streams to keep in flight now.
  private(set) var streams: Int
  /// Bytes per second, all streams together; 0 until measured.
  private(set) var rate = 0.0

  private var probe = Probe.none
  private var isDoubling = true
  private var settled: Int
  private var settledRate = 0.0
  /// Windows until the next probe, and how many that will be the time after.
  private var pause = 0
  private var nextPause = 4
  private var triesFewer = false
  /// The first window brings what it brings while connections are made; so does the one after each change.
  private var isSettling = true

  private var windowStart: Moment?
  private var windowBytes: Int64 = 0
  /// Calls of `received` in this window, and those with all streams at work.
  private var calls = 0
  private var fullCalls = 0

  static let window = Duration.milliseconds(250)
  /// A connection this fast is not held back by its origin: the machine is, and more of them cost it time.
  static let fastEnough = 200e6

  init(start: Int, limit: Int, partLimit: Int64 = 16 << 20) {
    self.limit = max(1, limit)
    self.partLimit = max(1, partLimit)
    streams = max(1, min(start, limit))
    settled = streams
  }

  /// Bytes of one stream while the part runs for about half a second.
  var partSize: Int64 {
    guard rate > 0 else { return min(partLimit, 2 << 20) }
    let bytes = rate / Double(streams) * 0.5
    return bytes >= Double(partLimit) ? partLimit : min(partLimit, max(1 << 20, Int64(bytes)))
  }

  /// `count` bytes came while `active` ranges of the filler were in flight.
  mutating func received(_ count: Int64, active: Int, now: Moment) {
    guard let start = windowStart else {
      windowStart = now
      windowBytes = 0
      calls = 0
      fullCalls = 0
      return
    }
    windowBytes += count
    calls += 1
    if active >= streams { fullCalls += 1 }
    let elapsed = (now - start).seconds
    guard elapsed >= Self.window.seconds else { return }
    windowStart = now
    let measured = Double(windowBytes) / elapsed
    rate = rate == 0 ? measured : 0.5 * rate + 0.5 * measured
    // A window in which streams lacked work says nothing about their number.
    let counts = fullCalls * 4 >= calls * 3
    windowBytes = 0
    calls = 0
    fullCalls = 0
    if isSettling { isSettling = false } else if counts { judge(measured) }
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

  private var mayGrow: Bool { streams < limit && settledRate / Double(streams) < Self.fastEnough }
  private var more: Int { min(limit, isDoubling ? 2 * streams : streams + 1) }

  private mutating func startProbe() {
    if !triesFewer, mayGrow {
      begin(.more, more)
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
    if probe == .more, mayGrow {
      begin(.more, more)
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
    let wasDoubling = isDoubling
    isDoubling = false
    end()
    // More did not help: at once see whether fewer do as well. Fewer did not, or twice as many were too many: it will
    // be long before the next try.
    triesFewer = wasMore
    pause = wasMore && !wasDoubling ? 0 : nextPause
    if !wasMore { nextPause = min(64, nextPause * 2) }
  }

  private mutating func end() {
    probe = .none
    triesFewer = false
    pause = nextPause
  }
}
