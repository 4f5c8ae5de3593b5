import Core
import Transfer

/// What to fetch next, and what to do about failures: a pure state machine. It is told what happened and answers with actions; it does no input or
/// output and knows the time only as passed in.
///
/// Bytes go through three states: in flight (in a fetch, not yet received), held (received; in a buffer or in the file) and present (`extents`,
/// written). No byte is ever in flight twice: who wants a byte in the middle of a long fetch cuts that one short.
///
/// Starting is asked for, not decided here: `wantsDemand` and `wantsFill` say that a connection would be of use, and `start` takes one.
struct FetchPlan {
  struct Settings: Equatable {
    var size: Int64
    var blockSize: Int64
    var rangesPerFile = 16
    var stallTimeout = Duration.seconds(60)
    /// A fetch this close before a waiter's byte is left to get there.
    var reach: Int64 = 2 << 20
    /// Demand is rounded outwards to multiples of this.
    var grain: Int64
    /// The least a demand fetches, and the most, when one begins where the one before ended.
    var readAhead: Int64 = 1 << 20
    var readAheadLimit: Int64 = 8 << 20
    var fillersAtStart = 2
    /// Never more than `rangesPerFile`.
    var fillersLimit = 16
    /// Until its first bytes are here, a file is filled by one part of so many bytes alone; 0: as ever.
    var firstPart: Int64 = 256 << 10
    /// No part of the filler is longer.
    var partLimit: Int64 = 16 << 20
    /// nil: the whole file is kept. Else what is fetched ahead of readers is bounded, for bytes may be gone again before they are read.
    var speculation: Speculation.Limits?
    /// A fetch that somebody waits for and that brings nothing for so long, while others do, is begun again on another connection.
    var hedge = Duration.seconds(3)
    /// A fetch that has brought nothing for so long gives its connection to a waiter who has none; longer where the origin takes its time.
    var silence = Duration.seconds(1)
    /// A link is replaced so long before it ends, or in the last tenth of its life where that is shorter.
    var renewal = Duration.seconds(60)
    var backoff = Duration.milliseconds(500)
    var backoffLimit = Duration.seconds(15)
    var retryAfterLimit = Duration.seconds(60)
    /// Wrong answers (HTML, a wrong Content-Range) in a row before it is believed to be final.
    var wrongAnswerLimit = 4
    /// New links tried in a row without a byte of progress; a link that was just minted and is refused thrice is refused for good.
    var linkLimit = 3
    /// Whole-object fetches in a row that brought nothing new before it is believed to be final.
    var wholeLimit = 6
    /// Bytes compared before those of another link are mixed in.
    var overlap: Int64 = 64 << 10
    /// So many extents of an earlier run are compared at both ends where its validator proves nothing; smaller ones are dropped.
    var extentsCompared = 4
    /// Of the jitter.
    var seed: UInt64 = 1

    init(size: Int64, blockSize: Int64) {
      self.size = size
      self.blockSize = max(1, blockSize)
      grain = self.blockSize
    }

    /// For a window in memory: what is asked for is fetched to the page, and ahead of it no more than `speculation` allows.
    static func window(size: Int64, blockSize: Int64) -> Settings {
      var settings = Settings(size: size, blockSize: blockSize)
      settings.grain = 4096
      settings.readAhead = 0
      settings.readAheadLimit = 0
      settings.partLimit = 4 << 20
      settings.speculation = Speculation.Limits()
      return settings
    }
  }

  struct Fetch: Equatable {
    let id: Int
    /// Where it began; what is in flight is `position ..< limit`.
    let start: Int64
    /// The next byte to be received.
    var position: Int64
    /// Its end, maybe cut since it began.
    var limit: Int64
    let isDemand: Bool
    let generation: Int
    /// The burst of failures it was started after.
    let epoch: Int
    /// When its last bytes came, or it began.
    var lastBytes: Moment
    /// How often what somebody lacks of it was given up before, as nothing came.
    var timesGivenUp = 0
    var inFlight: ByteRange { ByteRange(min(position, limit), limit) }
  }

  enum Action: Equatable {
    case start(id: Int, range: ByteRange, isDemand: Bool)
    /// Fetch bytes that are present, into memory, and compare them: `compared`.
    case probe(id: Int, range: ByteRange)
    case stop(id: Int, at: Int64)
    case cancel(id: Int)
    /// These have all their bytes.
    case wake([Int])
    case fail([Int], Errno)
    /// Get a link (in place of the current one, if there is one): `linkReady` or `linkFailed`.
    case newLink
    /// Fetching gave up, for the reason given; nil: it goes on.
    case report(String?)
    /// Write down what is in buffers; a comparison waits for it.
    case flush
    /// What there was of an earlier run is of another version: the next answer pins afresh.
    case unpin
  }

  enum LinkState: Equatable { case none, pending, ready }
  enum Comparison: Equatable {
    /// An overlap is needed near this offset.
    case wanted(Int64)
    case fetching(id: Int, ByteRange)
    /// The bytes are here; the file is being read.
    case reading
  }

  let settings: Settings
  var size: Int64 { settings.size }

  // MARK: Bytes
  var extents = RangeSet()
  var held = RangeSet()
  var heldCount: Int64 = 0
  var presentCount: Int64 = 0
  /// Of an earlier run: held, and not to be used yet; `unchecked` is what of it may not be what was summed.
  var unproven = RangeSet()
  var unchecked = RangeSet()
  var proof = Proof.given
  /// By start; few.
  var fetches: [Fetch] = []
  var nextID = 1
  var isComplete: Bool { presentCount == size }

  // MARK: Demand and filling
  var waiters = WaiterIndex()
  /// Demand is served like a lift: onwards from here, then from the start.
  var demandCursor: Int64 = 0
  var lastDemandEnd: Int64 = -1
  var readAhead: Int64
  var isFilling = false
  var cursors = FetchCursors()
  var tuner: StreamTuner
  var speculation = Speculation()
  var isBounded: Bool { settings.speculation != nil }
  /// The origin answers a range with the whole object: one fetch from 0, nothing else.
  var isWholeOnly = false
  /// A part was answered as a part.
  var answersRanges = false
  /// A part not from 0 was answered wrongly by an origin that never answered one rightly: asking from 0 will tell whether it knows ranges at all.
  var wantsTrial = false
  var hadTrial = false
  /// Being tried; all else waits for what its head says.
  var trial: Int?

  // MARK: Failures
  var linkState = LinkState.none
  /// Another link is on its way while this one still works.
  var isRenewing = false
  var renewAt: Moment?
  var linkExpires: Moment?
  var generation = 0
  var epoch = 0
  var failures = 0
  var linkFailures = 0
  var wrongAnswers = 0
  var emptyWholes = 0
  var wholeBroughtBytes = false
  var notBefore = Moment(nanoseconds: 0)
  /// Fewer connections than `rangesPerFile` while the origin refuses more (429, 503); one more is tried from time to time.
  var connectionCap: Int
  var capRaise: Moment?
  var lastProgress = Moment(nanoseconds: 0)
  /// How long a fetch may be silent now.
  var silence: Duration
  /// Fetches ended for their silence since bytes came last, or since it was given more time.
  var yields = 0
  /// The bytes that waiters lacked of fetches that were ended for their silence, and how often; until they come.
  var timesGivenUp: [Int64: Int] = [:]
  /// How long those who wait may keep others from where the bytes are to go, while none come.
  var turn: Duration
  /// When that began.
  var turnBegan = Moment(nanoseconds: 0)
  /// Having made way, they do not come back before.
  var restsUntil = Moment(nanoseconds: 0)
  var hasServerPause = false
  var lastError = ""
  var comparison: Comparison?
  /// Of a window: parts whose sums are known.
  var samples: [ByteRange] = []
  /// Gave up until the next read asks again.
  var isHalted = false
  /// Never again: readers of missing bytes get this.
  var permanentFailure: Errno?
  var isReported = false
  var random: UInt64

  init(_ settings: Settings) {
    self.settings = settings
    readAhead = settings.readAhead
    tuner = StreamTuner(
      start: settings.fillersAtStart, limit: min(settings.fillersLimit, settings.rangesPerFile), partLimit: settings.partLimit)
    connectionCap = max(1, settings.rangesPerFile)
    random = settings.seed
    silence = settings.silence
    turn = settings.silence
  }

  // MARK: Free bytes

  /// The first run at or after `offset`, before `limit`, that is neither held nor in flight.
  func freeGap(from offset: Int64, to limit: Int64) -> ByteRange? {
    var cursor = offset
    while cursor < limit, let gap = held.firstMissing(in: ByteRange(cursor, limit)) {
      cursor = gap.start
      var end = gap.end
      var isCovered = false
      for fetch in fetches {
        let taken = fetch.inFlight
        if taken.contains(cursor) {
          cursor = taken.end
          isCovered = true
          break
        }
        if taken.start >= cursor, !taken.isEmpty { end = min(end, taken.start) }
      }
      if !isCovered { return ByteRange(cursor, end) }
    }
    return nil
  }

  /// At least a block: a cut is at a block's beginning, and has to leave something to what is cut.
  var reach: Int64 { max(settings.reach, settings.grain) }

  func fetch(_ id: Int) -> Fetch? { fetches.first { $0.id == id } }

  mutating func makeFetch(_ range: ByteRange, isDemand: Bool, _ now: Moment) -> Fetch {
    let fetch = Fetch(
      id: nextID, start: range.start, position: range.start, limit: range.end, isDemand: isDemand, generation: generation, epoch: epoch,
      lastBytes: now, timesGivenUp: timesGivenUp.filter { range.contains($0.key) }.values.max() ?? 0)
    nextID += 1
    fetches.insert(fetch, at: fetches.firstIndex { $0.start > fetch.start } ?? fetches.count)
    return fetch
  }

  /// To a block's end; `unit` to a multiple of something else.
  func roundUp(_ offset: Int64, to unit: Int64? = nil) -> Int64 {
    let unit = unit ?? settings.blockSize
    let rest = offset % unit
    return rest == 0 || offset >= size ? min(offset, size) : advance(offset, by: unit - rest)
  }

  /// `offset + count`, not past the end.
  func advance(_ offset: Int64, by count: Int64) -> Int64 { size - offset <= count ? size : offset + count }

  func roundDown(_ offset: Int64, to unit: Int64? = nil) -> Int64 { offset - offset % (unit ?? settings.blockSize) }
}
