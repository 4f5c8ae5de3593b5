import ByteSource
import Core
import EventLoop
import Glibc

/// Bytes from the network: copied into buffers, which go to the disk when full, when the fetch ends, or when a waiter's
/// range is complete. It runs on the transfer loop; the buffers are of `BufferPool`, and a comparison reads the file on
/// a worker thread.
extension SparseStore {
  func write(_ bytes: UnsafeRawBufferPointer, _ range: ByteRange, of flight: Flight) -> Bool {
    let pieces = engine.plan.fresh(in: range)
    guard parked == nil, var spare = buffers(for: pieces, of: flight) else {
      budget.starve(flight)
      return false
    }
    for piece in pieces {
      let low = Int(piece.start - range.start)
      append(UnsafeRawBufferPointer(rebasing: bytes[low..<low + Int(piece.count)]), at: piece.start, to: flight, &spare)
    }
    for buffer in spare { budget.buffers.put(buffer) }
    engine.received(flight, upTo: range.end)
    flushIfWaited(flight)
    return true
  }

  /// The buffers that taking `pieces` will need beyond the one being filled; nil where there is no room for all of it.
  private func buffers(for pieces: [ByteRange], of flight: Flight) -> [UnsafeMutableRawPointer]? {
    var end = flight.buffer == nil ? -1 : flight.buffered.end
    var room = flight.buffer == nil ? 0 : Int64(BufferPool.bufferSize) - flight.buffered.count
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

  private func append(
    _ bytes: UnsafeRawBufferPointer, at offset: Int64, to flight: Flight, _ spare: inout [UnsafeMutableRawPointer]
  ) {
    var rest = bytes
    var offset = offset
    while !rest.isEmpty {
      if flight.buffer != nil, flight.buffered.end != offset || flight.buffered.count == BufferPool.bufferSize {
        flush(flight)
      }
      if flight.buffer == nil { flight.fill(spare.popLast(), from: offset) }
      guard let buffer = flight.buffer else { preconditionFailure("a buffer less than was counted") }
      let filled = Int(flight.buffered.count)
      let count = min(rest.count, BufferPool.bufferSize - filled)
      (buffer + filled).copyMemory(
        from: UnsafeRawBufferPointer(rebasing: rest.prefix(count)).baseAddress ?? UnsafeRawPointer(buffer),
        byteCount: count)
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
      offset += Int64(count)
      flight.took(Int64(count))
      if filled + count == BufferPool.bufferSize { flush(flight) }
    }
  }

  /// Writes the buffer if that completes a waiter's range; else it is worth filling first.
  func flushIfWaited(_ flight: Flight) {
    guard flight.buffer != nil else { return }
    if flight.flushArrivals != engine.plan.waiters.arrivals {
      flight.flushArrivals = engine.plan.waiters.arrivals
      flight.flushAt = engine.plan.flushPoint(
        from: flight.buffered.start, to: flight.buffered.start + Int64(BufferPool.bufferSize))
    }
    if let point = flight.flushAt, flight.buffered.end >= point { flush(flight) }
  }

  /// Validators, and sums of up to four parts of the file from all over it.
  package func heritage() async -> SourceHeritage {
    let parts = engine.plan.extents.ranges.sorted { $0.count > $1.count }.prefix(2).flatMap { extent in
      let overlap = engine.plan.settings.overlap
      return [
        ByteRange(extent.start, min(extent.end, extent.start + overlap)),
        ByteRange(max(extent.start, extent.end - overlap), extent.end),
      ]
    }
    guard engine.closed == nil, engine.plan.version.hasBeenGiven else { return SourceHeritage() }
    let (descriptor, validators) = (descriptor, engine.plan.version.accepted)
    let burst = writesBegan()
    return await withCheckedContinuation { continuation in
      EventLoop.transfer.background {
        parts.compactMap { part -> SourceHeritage.Sample? in
          var bytes = [UInt8](repeating: 0, count: Int(part.count))
          let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, off_t(part.start)) }
          return count == bytes.count ? .init(at: part.start, bytes) : nil
        }
      } then: { samples in
        self.writesEnded([], burst: burst, error: nil)
        continuation.resume(
          returning: SourceHeritage(validators: validators, words: [Validator().word], samples: samples))
      }
    }
  }

  /// Says whether the file has just these bytes there.
  func compare(_ bytes: [UInt8], _ range: ByteRange, then done: @escaping (Bool) -> Void) {
    let descriptor = descriptor
    let burst = writesBegan()
    EventLoop.transfer.background {
      var mine = [UInt8](repeating: 0, count: bytes.count)
      let count = mine.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, off_t(range.start)) }
      return count == bytes.count && mine == bytes
    } then: { isEqual in
      if self.engine.closed == nil { done(isEqual) }
      self.writesEnded([], burst: burst, error: nil)
    }
  }
}
