import CCurl
import Core
import EventLoop

/// HTTP by libcurl on the transfer loop: small requests of an API, and ranges of large objects with back-pressure.
///
/// Connections are kept and reused, with everything libcurl holds for them, until nothing ran for `keepAlive`. The
/// control plane makes the one of the process; the client owns the connections, the queue of ranges and the watch of
/// the network, and touches no file.
@TransferLoop
package final class HTTPClient {
  package struct Options: Sendable {
    /// Name look-up, connection and TLS together, of each hop.
    package var connectTimeout: Duration = .seconds(10)
    package var headerTimeout: Duration = .seconds(30)
    /// No byte for so long is a failure; how long a whole body takes is bounded by nothing.
    package var idleTimeout: Duration = .seconds(30)
    /// Ranges that are fetched at the same time, paused ones included; more of them wait for their turn. Small requests
    /// never wait.
    package var maxConnections = 48
    /// How long connections and buffers are kept with nothing to do.
    package var keepAlive: Duration = .seconds(30)
    /// Bytes a second over all ranges together; 0: as fast as it goes. Small requests are not counted.
    package var maxDownloadRate: Int64 = 0
    /// `http://`, `https://`, `socks5://` or `socks5h://`, maybe with credentials; nil: as the environment says.
    /// Loopback never goes through one.
    package var proxy: Redacted<String>?
    /// Hosts that no proxy is used for, comma-separated; nil: as the environment says.
    package var noProxy: String?
    /// nil: the system's certificates.
    package var certificates: CertificateBundle?
    package init() {}
  }

  let options: Options
  let throttle: Throttle?
  private let time: any TimeSource
  private var multi: CurlMulti?
  private var spare: [EasyHandle] = []
  private var waiting: [RangeFetch] = []
  private var ranges = 0
  /// Small requests under way.
  private var races: [ObjectIdentifier: SmallRace] = [:]
  private var ticker: LoopTimer?
  private var idle: LoopTimer?
  /// The network changed, or the machine slept: connections from before may be dead.
  package var onShaken: () -> Void = {}
  private var watch: NetworkWatch?
  private var distrustedAt: Moment?

  /// - Parameter time: what the header and idle time-outs and the rate are measured by; libcurl measures the others
  ///   itself.
  package init(options: Options = Options(), time: any TimeSource = SystemClock()) {
    self.options = options
    self.time = time
    throttle = options.maxDownloadRate > 0 ? Throttle(rate: options.maxDownloadRate, now: time.now) : nil
  }

  isolated deinit {
    // Nothing runs: what runs holds the client.
    spare = []
    multi?.close()
    watch?.close()
  }

  /// Sends the request and waits for the whole answer, of whatever status. Cancelling the task ends it with
  /// `.cancelled`.
  package func perform(_ request: HTTPRequest) async throws(TransferError) -> HTTPResponse {
    let race = SmallRace(request, client: self)
    races[ObjectIdentifier(race)] = race
    defer { races[ObjectIdentifier(race)] = nil }
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in race.begin { continuation.resume(returning: $0) } }
    } onCancel: {
      TransferLoop.post { race.cancel() }
    }
    return try result.get()
  }

  /// Starts the GET; calls to the sink come later, never before this returns.
  package func fetch(_ request: RangeRequest, sink: any RangeSink) -> RangeFetch {
    let fetch = RangeFetch(request, sink: sink, client: self)
    waiting.append(fetch)
    beginWaiting()
    return fetch
  }

  /// False once everything was given back, some time after the last request.
  package var isHoldingConnections: Bool { multi != nil }

  /// Some range is paused by the rate limit.
  package var isHoldingBack: Bool { throttle?.isHoldingBack ?? false }

  // MARK: For exchanges

  func now() -> Moment { time.now() }
  func wallSeconds() -> Int64 { time.wallNanoseconds() / 1_000_000_000 }

  /// Runs `work` now, or when libcurl has returned from what it is doing.
  func outside(_ work: @escaping () -> Void) {
    if let multi { multi.outside(work) } else { work() }
  }

  /// Takes a handle for the exchange, has it set up and starts it. Not inside a callback of libcurl.
  func start(_ exchange: any Exchange, _ setUp: (EasyHandle) throws(TransferError) -> Void) throws(TransferError)
    -> EasyHandle
  {
    let multi = try openMulti()
    watch?.lookAtClocks()
    let easy: EasyHandle
    if let last = spare.popLast() { easy = last } else { easy = try EasyHandle() }
    do throws(TransferError) {
      try setUp(easy)
      easy.exchange = exchange
      try multi.add(easy)
    } catch {
      easy.reset()
      throw error
    }
    idle?.stop()
    startTicker()
    return easy
  }

  func unpause(_ easy: EasyHandle) -> CURLcode { multi?.unpause(easy) ?? CURLE_OK }

  /// A range goes on with another request: its handle becomes free, then `next` is called; the range keeps its turn.
  func changed(_ easy: EasyHandle, _ next: @escaping () -> Void) {
    easy.exchange = nil
    outside { [self] in
      multi?.remove(easy)
      easy.reset()
      if spare.count < options.maxConnections { spare.append(easy) }
      next()
      if multi?.running.isEmpty ?? true, ticker != nil { rest() }
    }
  }

  /// The exchange is over; its handle, if it had one, becomes free as soon as libcurl allows.
  /// - Parameter isClean: it ended well. After a failure libcurl 7.88 may leave things behind that a reset does not
  ///   clear; such handles go.
  func ended(_ exchange: any Exchange, _ easy: EasyHandle?, isClean: Bool) {
    easy?.exchange = nil
    if let fetch = exchange as? RangeFetch { release(fetch) }
    guard let easy else { return }
    outside { [self] in
      multi?.remove(easy)
      easy.reset()
      if isClean, spare.count < options.maxConnections { spare.append(easy) }
      if multi?.running.isEmpty ?? true { rest() }
    }
  }

  // MARK: Turns

  private func release(_ fetch: RangeFetch) {
    throttle?.forget(fetch)
    if let index = waiting.firstIndex(where: { $0 === fetch }) {
      waiting.remove(at: index)
    } else {
      ranges -= 1
      beginWaiting()
    }
  }

  /// Starts waiting fetches while there is room, on the loop's next turn, so that a sink is not called before its owner
  /// has the fetch.
  private func beginWaiting() {
    while ranges < options.maxConnections, !waiting.isEmpty {
      let fetch = waiting.removeFirst()
      ranges += 1
      TransferLoop.post { fetch.begin() }
    }
  }

  // MARK: Clocks

  private func startTicker() {
    guard ticker == nil else { return }
    let shortest = min(options.headerTimeout, options.idleTimeout)
    let period = max(.milliseconds(10), min(.seconds(1), shortest / 4))
    ticker = try? LoopTimer(on: .transfer) { [weak self] in self?.tick() }
    ticker?.start(after: period, every: period)
  }

  private func tick() {
    watch?.lookAtClocks()
    let now = now()
    for easy in multi.map({ Array($0.running.values) }) ?? [] { easy.exchange?.checkClock(now: now) }
  }

  /// Nothing runs: no more ticks, and after a while no more connections.
  private func rest() {
    ticker?.close()
    ticker = nil
    if idle == nil { idle = try? LoopTimer(on: .transfer) { [weak self] in self?.dropConnections() } }
    idle?.start(after: options.keepAlive)
  }

  private func dropConnections() {
    guard let multi, multi.running.isEmpty else { return }
    spare = []
    multi.close()
    self.multi = nil
    watch?.close()
    watch = nil
    distrustedAt = nil
    // Receive buffers and TLS state are megabytes that malloc would otherwise keep.
    ccurl_return_memory()
  }

  private func openMulti() throws(TransferError) -> CurlMulti {
    if let multi { return multi }
    let made = try CurlMulti(connectionsKept: options.maxConnections)
    multi = made
    watch = NetworkWatch { [weak self] in self?.shaken() }
    return made
  }

  /// Connections that stand may be dead: those that are idle are not used again, and small requests under way are sent
  /// once more. What becomes of ranges is `onShaken`'s.
  func shaken() {
    distrustIdleConnections()
    for race in Array(races.values) { race.hedge() }
    onShaken()
  }

  // MARK: Dead connections

  private static let longestIdle = 60

  /// Seconds; a connection that was idle for longer is not used again.
  var oldestIdle: Int {
    // libcurl counts in whole seconds, and closes what is older than so many.
    distrustedAt.map { min(Self.longestIdle, Int((now() - $0).seconds)) } ?? Self.longestIdle
  }

  /// A connection that is idle now is not used again.
  func distrustIdleConnections() { distrustedAt = now() }
}

/// Gives free memory back to the kernel, after something large. It takes its time: worker threads only.
package func returnMemory() { ccurl_return_memory() }
