import Core
import Transfer

/// One range of a store in flight: the request, the buffer that is being filled, and who gets the calls of the transfer.
@TransferLoop
final class FetchSlot {
  let store: FetchStore
  let id: Int
  let range: ByteRange
  let isDemand: Bool
  let generation: Int
  /// Bytes for a comparison, kept in memory; nil for an ordinary fetch.
  var probe: [UInt8]?
  var fetch: (any RangeFetching)?
  var hasBegun = false

  /// Received, not yet handed to the writer.
  var buffer: UnsafeMutableRawPointer?
  var buffered = ByteRange(0, 0)
  /// Where somebody is whole, as computed from the waiters known at `flushArrivals`.
  var flushAt: Int64?
  var flushArrivals = -1

  init(store: FetchStore, id: Int, range: ByteRange, isDemand: Bool, generation: Int, isProbe: Bool) {
    self.store = store
    self.id = id
    self.range = range
    self.isDemand = isDemand
    self.generation = generation
    probe = isProbe ? [] : nil
  }

  // What a transfer says; a test's double calls these.
  func began(validator: Validator, isWhole: Bool) -> Bool { store.slotBegan(self, validator, isWhole: isWhole) }
  func received(_ bytes: UnsafeRawBufferPointer, at offset: Int64) -> Bool { store.slotReceived(self, bytes, at: offset) }
  func ended(_ error: TransferError?) { store.slotEnded(self, error) }
}

extension FetchSlot: RangeSink {
  func rangeBegan(_ fetch: RangeFetch, validator: Validator, isWhole: Bool) -> Bool { began(validator: validator, isWhole: isWhole) }
  func rangeReceived(_ fetch: RangeFetch, bytes: UnsafeRawBufferPointer, at offset: Int64) -> Bool { received(bytes, at: offset) }
  func rangeEnded(_ fetch: RangeFetch, error: TransferError?) { ended(error) }
}
