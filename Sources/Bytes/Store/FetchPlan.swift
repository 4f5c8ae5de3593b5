import ByteSource
import Core

/// Decides the next fetches and the reaction to failures: a pure state machine. It is told what happened and answers
/// with actions; it does no input or output and knows the time only as passed in.
///
/// Bytes go through three states: in flight (in a fetch, not yet received), held (received; in a buffer or in the file)
/// and present (`extents`, written). No byte is ever in flight twice: a demand for a byte in the middle of a long fetch
/// cuts that one short.
///
/// Starting is asked for, not decided here: `wantsDemand` and `wantsFill` say that a connection would be of use, and
/// `start` takes one. The file's `FetchEngine` owns it, on the transfer loop, and does what it returns.
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
    /// The least a demand fetches that begins where the one before ended, and the most; one elsewhere fetches what is
    /// asked for.
    var readAhead: Int64 = 1 << 20
    var readAheadLimit: Int64 = 8 << 20
    var fillersAtStart = 2
    /// Never more than `rangesPerFile`.
    var fillersLimit = 16
    /// Until its first bytes are here, a file is filled by one part of so many bytes alone; 0: as ever.
    var firstPart: Int64 = 256 << 10
    /// No part of the filler is longer.
    var partLimit: Int64 = 16 << 20
    /// nil: the whole file is kept. Else what is fetched ahead of readers is bounded, for bytes may be gone again
    /// before they are read.
    var speculation: Speculation.Limits?
    /// `stall` and `rest` of it are not looked at: `stallTimeout` and the longest back-off are.
    var silence = Silence.Limits()
    var backoff = Backoff.Limits()
    /// Wrong answers (HTML, a wrong Content-Range) in a row before it is believed to be final, of an origin that has
    /// never answered rightly.
    var wrongAnswerLimit = 5
    /// Whole-object fetches in a row that brought nothing new before it is believed to be final.
    var wholeLimit = 6
    /// Bytes compared before those of another access are mixed in.
    var overlap: Int64 = 64 << 10
    /// If a validator claims that the file changed: so many parts are compared, or all bytes if they are no more than
    /// `comparedWhole`, in parts of at most `overlapLimit`.
    var overlapsSpread = 32
    var comparedWhole: Int64 = 32 << 20
    var overlapLimit: Int64 = 1 << 20
    /// So many extents of an earlier run are compared at both ends where its validator proves nothing; smaller ones are
    /// dropped.
    var extentsCompared = 4
    /// Seed of the back-off's jitter.
    var seed: UInt64 = 1

    init(size: Int64, blockSize: Int64) {
      self.size = size
      self.blockSize = max(1, blockSize)
      grain = self.blockSize
    }

    /// For a window in memory: what is asked for is fetched to the page, and ahead of it no more than `speculation`
    /// allows.
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

  enum Action: Equatable {
    case start(id: Int, range: ByteRange, isDemand: Bool)
    /// The same beside a fetch that is silent, on a connection of its own.
    case hedge(id: Int, range: ByteRange)
    /// Fetch bytes that are present, into memory, and compare them: `compared`.
    case probe(id: Int, range: ByteRange, isFresh: Bool = false)
    case stop(id: Int, at: Int64)
    case cancel(id: Int)
    /// These have all their bytes.
    case wake([Int])
    case fail([Int], Errno)
    /// Get access (in place of the current one, if there is one): `accessReady` or `accessFailed`.
    case newAccess
    /// Fetching gave up, for the reason given; nil: it goes on.
    case report(String?)
    /// Write down what is in buffers; a comparison waits for it.
    case flush
    /// The bytes of an earlier process are of another version: the next answer decides.
    case unpin
    /// This request's answer is of the right version: take its bytes.
    case release(id: Int)
    /// The answer to `recheck`.
    case rechecked(isChanged: Bool)
    /// The origin has another file now.
    case changed(SourceChange)
  }

  let settings: Settings
  var size: Int64 { settings.size }

  // MARK: Bytes
  var bytes: Extents
  var extents: RangeSet { bytes.present }
  var held: RangeSet { bytes.held }
  var heldCount: Int64 { bytes.heldCount }
  var presentCount: Int64 { bytes.presentCount }
  /// Bytes left by an earlier process: held, and not served before `version` accepts them. `unchecked`: the part whose
  /// sums are not verified yet.
  var unproven: RangeSet { bytes.left }
  var unchecked: RangeSet { bytes.unchecked }
  var fetches = Fetches()
  var nextID = 1
  var isComplete: Bool { presentCount == size }

  // MARK: Demand and filling
  var demand: Demand
  var waiters: WaiterIndex { demand.waiters }
  var filling = Filling.none
  var cursors = FetchCursors()
  var tuner: StreamTuner
  var speculation = Speculation()
  var isBounded: Bool { settings.speculation != nil }
  var support = RangeSupport()
  var isWholeOnly: Bool { support.isWholeOnly }
  /// The origin answers ranges with the whole object, and this is a window: the file needs another kind of store.
  var needsFile: Bool { support.needsFile }

  // MARK: Failures
  /// When access to the source is asked for: the source's own rule.
  var access: any AccessState
  var generation: Int { access.generation }
  var backoff: Backoff
  var cap: ConnectionCap
  var silence: Silence
  var outcome = Outcome()
  /// Decides which answers are of the version of the bytes here.
  var version = SourceVersion()
  /// The request of a comparison that is on its way.
  var probing = Probing()
  /// Parts of a window's file whose sums are known: what an answer can be compared with.
  var samples: [ByteRange] = []

  init(_ settings: Settings, access: any AccessState) {
    self.settings = settings
    bytes = Extents(size: settings.size, blockSize: settings.blockSize)
    demand = Demand(steps: settings.readAhead...max(settings.readAhead, settings.readAheadLimit))
    tuner = StreamTuner(
      start: settings.fillersAtStart, limit: min(settings.fillersLimit, settings.rangesPerFile),
      partLimit: settings.partLimit)
    cap = ConnectionCap(limit: settings.rangesPerFile)
    backoff = Backoff(settings.backoff, seed: settings.seed)
    self.access = access
    var ofSilence = settings.silence
    ofSilence.stall = settings.stallTimeout
    ofSilence.rest = settings.backoff.longest
    silence = Silence(ofSilence)
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

  func fetch(_ id: Int) -> Fetch? { fetches[id: id] }

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
