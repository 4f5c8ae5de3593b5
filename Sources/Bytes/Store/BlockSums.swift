import CXXHash
import Core
import Glibc

/// How blocks are summed. Both types are values, and a sum is a pure function of the bytes; worker threads compute it.
struct SumsRule: Equatable, Sendable {
  let seed: UInt64
  let blockSize: Int64
  /// The file's length: its last block may be short.
  let length: Int64

  /// Never 0, which says that there is none.
  func sum(_ bytes: UnsafeRawBufferPointer) -> UInt64 { max(1, cxxhash(bytes.baseAddress, bytes.count, seed)) }

  /// Sums of the blocks that lie in one of `parts`, which follow each other in the file from `offset` on.
  func sums(of parts: [iovec], at offset: Int64) -> BlockSums {
    var sums = BlockSums(seed: seed)
    var start = offset
    for part in parts {
      let end = start + Int64(part.iov_len)
      var block = (start + blockSize - 1) / blockSize
      while block * blockSize < end {
        let from = block * blockSize
        let to = min(length, from + blockSize)
        guard to <= end else { break }
        sums.blocks[Int(block)] = sum(
          UnsafeRawBufferPointer(
            start: part.iov_base.map { UnsafeRawPointer($0) + Int(from - start) }, count: Int(to - from)))
        block += 1
      }
      start = end
    }
    return sums
  }
}

/// Sums by the block's number.
struct BlockSums: Equatable, Sendable {
  var seed: UInt64 = 0
  var blocks: [Int: UInt64] = [:]
}
