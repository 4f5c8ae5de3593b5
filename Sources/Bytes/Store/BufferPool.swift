import Core
import Glibc

/// Buffers that received bytes wait in until they are written: of one size, bounded in number over all stores, reused,
/// and given back to the system when nothing is fetched. `FetchBudget` owns the one of the process; a buffer that is
/// taken belongs to its `Flight`, then to the `FileWriter`.
@TransferLoop
final class BufferPool {
  nonisolated static let bufferSize = 256 << 10

  /// At most so many at a time.
  let limit: Int
  private(set) var taken = 0
  private var free: [UnsafeMutableRawPointer] = []
  /// Memory of the system, mapped one by one rather than allocated, so that giving back is giving back; nil: it has
  /// none. A test replaces it.
  var map: () -> UnsafeMutableRawPointer? = {
    let buffer = mmap(nil, BufferPool.bufferSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    return buffer == MAP_FAILED ? nil : buffer
  }

  nonisolated init(bytes: Int64) { limit = max(4, Int(clamping: bytes / Int64(Self.bufferSize))) }

  var room: Int { limit - taken }
  /// Taken or kept.
  var mapped: Int { taken + free.count }

  /// nil where the bound is reached, or the system gives no memory.
  func take() -> UnsafeMutableRawPointer? {
    guard taken < limit else { return nil }
    if let buffer = free.popLast() {
      taken += 1
      return buffer
    }
    guard let buffer = map() else { return nil }
    taken += 1
    return buffer
  }

  func put(_ buffer: UnsafeMutableRawPointer) {
    taken -= 1
    free.append(buffer)
  }

  func trim() {
    for buffer in free { munmap(buffer, Self.bufferSize) }
    free = []
  }
}
