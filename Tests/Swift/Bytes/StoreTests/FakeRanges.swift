import ByteSource
import Core
import EventLoop
import HTTPSource
import Support
import Transfer

@testable import Store

/// A made-up file, whose ranges are begun by a test's double. Access to it comes without leaving the loop, by the rules
/// of links.
struct LoopOrigin: ByteSource {
  typealias Start = @TransferLoop @Sendable (SourceRequest, Flight) -> any RangeInFlight

  let size: Int64
  let start: Start

  func accessState(leastPause: Duration, longestPause: Duration) -> any AccessState {
    LinkState(.init(leastPause: leastPause, longestPause: longestPause))
  }
  @TransferLoop func access(replacing stale: Int?, isUrgent: Bool) async throws(SourceFailure) -> any SourceAccess {
    Access(generation: (stale ?? 0) + 1, start: start)
  }

  private struct Access: SourceAccess {
    let generation: Int
    let start: Start
    var expires: Moment? { nil }
    @TransferLoop func fetch(_ request: SourceRequest, into sink: any ByteSink) -> any RangeInFlight {
      guard let flight = sink as? Flight else { preconditionFailure("the sink of a store is its flight") }
      return start(request, flight)
    }
  }
}

/// Failures as HTTP has them.
extension SourceFailure {
  static func status(_ status: Int, retryAfter: Duration?) -> Self {
    TransferError.status(status, retryAfter: retryAfter).asSourceFailure
  }
  static func unreachable(_ text: String) -> Self { TransferError.unreachable(text).asSourceFailure }
  static func timedOut(phase: String) -> Self { TransferError.timedOut(phase: phase).asSourceFailure }
}

/// Ranges of made-up files that go as far as a test says.
@TransferLoop
final class FakeRanges {
  /// A prime's worth of noise, which files repeat from different places: no two blocks are the same.
  private static let noise: [UInt8] = {
    var random = SplitMix(seed: 9)
    return (0..<65_521).map { _ in UInt8(truncatingIfNeeded: random.next()) }
  }()
  private static func frame(_ file: Int, _ offset: Int64) -> Int { (Int(offset) + file * 7919) % noise.count }
  /// A byte of a file, by its number.
  static func byte(_ file: Int, at offset: Int64) -> UInt8 { noise[frame(file, offset)] }
  static func bytes(_ file: Int, _ range: ByteRange) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(range.count))
    while bytes.count < range.count {
      let from = frame(file, range.start + Int64(bytes.count))
      bytes += noise[from..<min(noise.count, from + Int(range.count) - bytes.count)]
    }
    return bytes
  }

  final class Fetch: RangeInFlight {
    let request: SourceRequest
    let flight: Flight
    let file: Int
    var isHeldBack = false
    private(set) var position: Int64
    private(set) var isEnded = false
    private var hasBegun = false
    private var stopOffset = Int64.max
    var tag: String

    init(_ request: SourceRequest, _ flight: Flight, file: Int, tag: String) {
      (self.request, self.flight, self.file, self.tag) = (request, flight, file, tag)
      position = request.range.start
    }
    func stop(at offset: Int64) {
      stopOffset = min(stopOffset, offset)
      if position >= stopOffset, position < request.range.end { end(nil) }
    }
    func resume() {}
    func cancel() { end(.cancelled) }
    func end(_ error: SourceFailure?) {
      guard !isEnded else { return }
      isEnded = true
      flight.ended(error)
    }
    /// Hands over `count` bytes more, and ends where that is all.
    func deliver(_ count: Int64) {
      guard !isEnded else { return }
      if !hasBegun {
        hasBegun = true
        guard flight.began(validator: Validator(etag: tag), isWhole: false) else { return end(.cancelled) }
      }
      let limit = min(request.range.end, stopOffset)
      let to = min(limit, position + count)
      if position < to, !isEnded {
        let bytes = FakeRanges.bytes(file, ByteRange(position, to))
        guard bytes.withUnsafeBytes({ flight.received($0, at: position) }), !isEnded else { return }
        position = to
      }
      if position >= limit { end(nil) }
    }
  }

  private(set) var all: [Fetch] = []
  var tag = "\"1\""
  var open: [Fetch] {
    all.removeAll { $0.isEnded }
    return all
  }
  func start(_ request: SourceRequest, _ flight: Flight, file: Int) -> any RangeInFlight {
    let fetch = Fetch(request, flight, file: file, tag: tag)
    all.append(fetch)
    return fetch
  }
}
