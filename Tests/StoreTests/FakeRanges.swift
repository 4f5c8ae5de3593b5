import Core
import EventLoop
import Support
import Transfer

@testable import Store

/// Links to made-up files, which come without leaving the loop.
struct LoopOrigin: Origin {
  let size: Int64
  let file: Int
  @TransferLoop func link(replacing stale: Link?) async throws(TransferError) -> Link {
    Link(url: Redacted("http://127.0.0.1:1/\(file)"), generation: (stale?.generation ?? 0) + 1)
  }
}

/// Ranged GETs of made-up files that go as far as a test says.
@TransferLoop
final class FakeRanges {
  /// A prime's worth of noise, which files repeat from different places: no two blocks are the same.
  private static let noise: [UInt8] = {
    var random = SplitMix(seed: 9)
    return (0..<65_521).map { _ in UInt8(truncatingIfNeeded: random.next()) }
  }()
  private static func place(_ file: Int, _ offset: Int64) -> Int { (Int(offset) + file * 7919) % noise.count }
  /// Of a file, by the number in its URL.
  static func byte(_ file: Int, at offset: Int64) -> UInt8 { noise[place(file, offset)] }
  static func bytes(_ file: Int, _ range: ByteRange) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Int(range.count))
    while bytes.count < range.count {
      let from = place(file, range.start + Int64(bytes.count))
      bytes += noise[from..<min(noise.count, from + Int(range.count) - bytes.count)]
    }
    return bytes
  }

  final class Fetch: RangeFetching {
    let request: RangeRequest
    let slot: FetchSlot
    let file: Int
    var isHeldBack = false
    private(set) var position: Int64
    private(set) var isEnded = false
    private var hasBegun = false
    private var stopOffset = Int64.max
    var tag: String

    init(_ request: RangeRequest, _ slot: FetchSlot, tag: String) {
      (self.request, self.slot, self.tag) = (request, slot, tag)
      file = request.link.url.reveal().split(separator: "/").last.flatMap { Int($0) } ?? 0
      position = request.range.start
    }
    func stop(at offset: Int64) {
      stopOffset = min(stopOffset, offset)
      if position >= stopOffset, position < request.range.end { end(nil) }
    }
    func resume() {}
    func cancel() { end(.cancelled) }
    func end(_ error: TransferError?) {
      guard !isEnded else { return }
      isEnded = true
      slot.ended(error)
    }
    /// Hands over `count` bytes more, and ends where that is all.
    func deliver(_ count: Int64) {
      guard !isEnded else { return }
      if !hasBegun {
        hasBegun = true
        guard slot.began(validator: Validator(etag: tag), isWhole: false) else { return end(.sourceChanged) }
      }
      let limit = min(request.range.end, stopOffset)
      let to = min(limit, position + count)
      if position < to, !isEnded {
        let bytes = FakeRanges.bytes(file, ByteRange(position, to))
        guard bytes.withUnsafeBytes({ slot.received($0, at: position) }), !isEnded else { return }
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
  func start(_ request: RangeRequest, _ slot: FetchSlot) -> any RangeFetching {
    let fetch = Fetch(request, slot, tag: tag)
    all.append(fetch)
    return fetch
  }
}
