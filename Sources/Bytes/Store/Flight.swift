import ByteSource
import Core

/// One range of a file in flight: the request, the buffer that is being filled, and who gets the calls of the transfer.
/// `FetchEngine` makes and owns it, on the transfer loop; its buffer is of `BufferPool`.
@TransferLoop
final class Flight: ByteSink {
  let engine: FetchEngine
  let target: any FetchTarget
  let id: Int
  let range: ByteRange
  let isDemand: Bool
  let generation: Int
  /// Bytes for a comparison, kept in memory; nil for an ordinary fetch.
  var probe: [UInt8]?
  var fetch: (any RangeInFlight)?
  var hasBegun = false
  /// Its last bytes were not taken: there was no room.
  var isHeld = false

  /// Received, not yet handed to the writer.
  private(set) var buffer: UnsafeMutableRawPointer?
  private(set) var buffered = ByteRange(0, 0)
  /// Offset at which the next waiter's range is complete, so the buffer is written there. Valid while `waiters.arrivals
  /// == flushArrivals`.
  var flushAt: Int64?
  var flushArrivals = -1

  init(
    engine: FetchEngine, target: any FetchTarget, id: Int, range: ByteRange, isDemand: Bool, generation: Int,
    isProbe: Bool
  ) {
    self.engine = engine
    self.target = target
    self.id = id
    self.range = range
    self.isDemand = isDemand
    self.generation = generation
    probe = isProbe ? [] : nil
  }

  // MARK: The buffer

  /// The next bytes, from `offset` on, go into `buffer`.
  func fill(_ buffer: UnsafeMutableRawPointer?, from offset: Int64) {
    self.buffer = buffer
    buffered = ByteRange(offset, offset)
    flushArrivals = -1
  }

  /// So many more bytes were taken.
  func took(_ count: Int64) { buffered.end += count }

  /// The bytes of `range`, which are where they belong, follow those before.
  func passed(_ range: ByteRange) { buffered = buffered.isEmpty ? range : ByteRange(buffered.start, range.end) }

  /// Gives the buffer to the caller, with the range of its bytes; nil if there is none.
  func takeBuffer() -> (UnsafeMutableRawPointer, ByteRange)? {
    guard let buffer else { return nil }
    defer {
      self.buffer = nil
      buffered = ByteRange(buffered.end, buffered.end)
    }
    return (buffer, buffered)
  }

  // MARK: The transfer

  func began(validator: Validator, isWhole: Bool) -> Bool { engine.flightBegan(self, validator, isWhole: isWhole) }
  func received(_ bytes: UnsafeRawBufferPointer, at offset: Int64) -> Bool {
    engine.flightReceived(self, bytes, at: offset)
  }
  func ended(_ error: SourceFailure?) { engine.flightEnded(self, error) }
}
