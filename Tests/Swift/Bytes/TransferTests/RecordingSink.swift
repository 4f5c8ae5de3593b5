import ByteSource
import Core
import Support
import Testing

@testable import Transfer

/// A sink that keeps everything, with a hook at each call.
@TransferLoop
final class RecordingSink: RangeSink {
  var bytes: [UInt8] = []
  var firstOffset: Int64?
  var validator: Validator?
  var isWhole = false
  var began = 0
  var ends: [TransferError?] = []
  /// Offsets that did not continue where the bytes before ended.
  var gaps = 0
  var onBegin: (RangeFetch) -> Bool = { _ in true }
  var onBytes: (RangeFetch, UnsafeRawBufferPointer, Int64) -> Bool = { _, _, _ in true }
  var onEnd: (RangeFetch) -> Void = { _ in }
  private var waiters: [CheckedContinuation<Void, Never>] = []
  private var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []

  func rangeBegan(_ fetch: RangeFetch, validator: Validator, isWhole: Bool) -> Bool {
    began += 1
    self.validator = validator
    self.isWhole = isWhole
    return onBegin(fetch)
  }

  func rangeReceived(_ fetch: RangeFetch, bytes: UnsafeRawBufferPointer, at offset: Int64) -> Bool {
    if !ends.isEmpty { gaps += 1 }
    guard onBytes(fetch, bytes, offset) else { return false }
    if let firstOffset {
      if offset != firstOffset + Int64(self.bytes.count) { gaps += 1 }
    } else {
      firstOffset = offset
    }
    self.bytes.append(contentsOf: bytes)
    let reached = watchers.filter { $0.count <= self.bytes.count }
    watchers.removeAll { $0.count <= self.bytes.count }
    for watcher in reached { watcher.continuation.resume() }
    return true
  }

  func rangeEnded(_ fetch: RangeFetch, error: TransferError?) {
    ends.append(error)
    onEnd(fetch)
    for waiter in waiters { waiter.resume() }
    for watcher in watchers { watcher.continuation.resume() }
    waiters = []
    watchers = []
  }

  /// Waits until `count` bytes are here (or the end is).
  func received(_ count: Int) async {
    if bytes.count >= count || !ends.isEmpty { return }
    await withCheckedContinuation { watchers.append((count, $0)) }
  }

  /// Waits for the end.
  @discardableResult
  func ended() async -> TransferError? {
    if ends.isEmpty { await withCheckedContinuation { waiters.append($0) } }
    return ends.first ?? nil
  }

  /// The bytes are those of the made-up file from `range.start` on, in order, up to `range.end`.
  func holds(_ range: ByteRange) -> Bool {
    gaps == 0 && (range.isEmpty || firstOffset == range.start) && bytes == ScriptedServer.content(range)
  }
}

extension ScriptedServer {
  func request(_ range: ByteRange, size: Int64, path: String = "/file?signature=s3cr3t") -> RangeRequest {
    RangeRequest(url: Redacted(url(path)), range: range, size: size)
  }
}

/// A client whose time-outs pass when the test says so.
@TransferLoop
final class ClockedClient {
  let clock = ManualClock()
  let client: HTTPClient
  private let silent = ScriptedServer { _ in [.stall] }

  init(maxConnections: Int = 48, rate: Int64 = 0) {
    var options = HTTPClient.Options()
    // Short, so that the clock is looked at often; it stands still otherwise.
    options.headerTimeout = .milliseconds(40)
    options.idleTimeout = .milliseconds(40)
    options.maxConnections = maxConnections
    options.maxDownloadRate = rate
    client = HTTPClient(options: options, time: clock)
  }

  /// Lets every time-out pass, and returns once the client has looked at the clock: a request without an answer has
  /// timed out.
  func letTimeoutsPass() async {
    let count = silent.requests.count
    let request = Task { @TransferLoop in
      do throws(TransferError) {
        _ = try await client.perform(HTTPRequest(url: silent.url(), totalTimeout: .seconds(60)))
        return nil as TransferError?
      } catch { return error }
    }
    // Asked, so in its header phase.
    while silent.requests.count == count { await Task.yield() }
    clock.advance(by: .seconds(1000))
    let error = await request.value
    #expect(error == .timedOut(phase: "headers"))
  }
}
