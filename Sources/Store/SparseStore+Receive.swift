import Core
import EventLoop
import Glibc
import Transfer

/// Bytes as they come from the network: copied into buffers, which go to the disk when full, when the fetch ends, or when somebody is whole.
extension SparseStore {
  func receive(_ bytes: UnsafeRawBufferPointer, _ range: ByteRange, of slot: FetchSlot) -> Bool {
    let pieces = plan.fresh(in: range)
    guard parked == nil, var spare = buffers(for: pieces, of: slot) else {
      budget.starve(slot)
      return false
    }
    for piece in pieces {
      let low = Int(piece.start - range.start)
      append(UnsafeRawBufferPointer(rebasing: bytes[low..<low + Int(piece.count)]), at: piece.start, to: slot, &spare)
    }
    for buffer in spare { budget.buffers.put(buffer) }
    plan.received(slot.id, upTo: range.end, now: now)
    flushIfWaited(slot)
    return true
  }

  /// The buffers that taking `pieces` will need beyond the one being filled; nil where there is no room for all of it.
  private func buffers(for pieces: [ByteRange], of slot: FetchSlot) -> [UnsafeMutableRawPointer]? {
    var end = slot.buffer == nil ? -1 : slot.buffered.end
    var room = slot.buffer == nil ? 0 : Int64(BufferPool.bufferSize) - slot.buffered.count
    var needed: Int64 = 0
    for piece in pieces {
      if piece.start != end { room = 0 }
      let beyond = max(0, piece.count - room)
      let more = (beyond + Int64(BufferPool.bufferSize) - 1) / Int64(BufferPool.bufferSize)
      needed += more
      room += more * Int64(BufferPool.bufferSize) - piece.count
      end = piece.end
    }
    var taken: [UnsafeMutableRawPointer] = []
    guard needed <= budget.buffers.room else { return nil }
    while taken.count < needed {
      guard let buffer = budget.buffers.take() else {
        for buffer in taken { budget.buffers.put(buffer) }
        return nil
      }
      taken.append(buffer)
    }
    return taken
  }

  private func append(_ bytes: UnsafeRawBufferPointer, at offset: Int64, to slot: FetchSlot, _ spare: inout [UnsafeMutableRawPointer]) {
    var rest = bytes
    var offset = offset
    while !rest.isEmpty {
      if slot.buffer != nil, slot.buffered.end != offset || slot.buffered.count == BufferPool.bufferSize { flush(slot) }
      if slot.buffer == nil {
        slot.buffer = spare.popLast()
        slot.buffered = ByteRange(offset, offset)
        slot.flushArrivals = -1
      }
      guard let buffer = slot.buffer else { preconditionFailure("a buffer less than was counted") }
      let filled = Int(slot.buffered.count)
      let count = min(rest.count, BufferPool.bufferSize - filled)
      (buffer + filled).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: rest.prefix(count)).baseAddress ?? UnsafeRawPointer(buffer), byteCount: count)
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
      offset += Int64(count)
      slot.buffered.end = offset
      if filled + count == BufferPool.bufferSize { flush(slot) }
    }
  }

  /// Writes what there is where that makes somebody whole; else a buffer is worth filling first.
  func flushIfWaited(_ slot: FetchSlot) {
    guard slot.buffer != nil else { return }
    if slot.flushArrivals != plan.waiters.arrivals {
      slot.flushArrivals = plan.waiters.arrivals
      slot.flushAt = plan.flushPoint(from: slot.buffered.start, to: slot.buffered.start + Int64(BufferPool.bufferSize))
    }
    if let point = slot.flushAt, slot.buffered.end >= point { flush(slot) }
  }

  /// Compares what a link brought with what is in the file.
  func compare(_ bytes: [UInt8], _ range: ByteRange, then done: @escaping (Bool) -> Void) {
    let descriptor = descriptor
    let burst = writesBegan()
    EventLoop.transfer.background {
      var mine = [UInt8](repeating: 0, count: bytes.count)
      let count = mine.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, off_t(range.start)) }
      return count == bytes.count && mine == bytes
    } then: { isEqual in
      if self.closed == nil { done(isEqual) }
      self.writesEnded([], burst: burst, error: nil)
    }
  }
}
