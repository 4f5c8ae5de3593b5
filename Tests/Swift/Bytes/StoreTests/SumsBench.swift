import Core
import Glibc
import Testing

@testable import Store

/// The cost of sums: processor time per GiB of bytes that were just written, from the buffer or read back in batches;
/// off unless asked for: `FSMVP_SUMS_BENCH=1 swift test -c release -Xswiftc -enable-testing --filter SumsBench`.
@Suite(.serialized, .enabled(if: getenv("FSMVP_SUMS_BENCH") != nil))
struct SumsBench {
  private func processor(_ body: () -> Void) -> Double {
    func now() -> Double {
      var time = timespec()
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
      return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
    let before = now()
    body()
    return now() - before
  }

  @Test("processor time of a GiB")
  func cost() throws {
    let scratch = try ScratchFolder()
    let (length, blockSize): (Int64, Int64) = (1 << 30, 64 << 10)
    let made = try scratch.folder.make("x.bytes", size: length, CacheClaims())
    defer {
      scratch.folder.remove("x.bytes")
      close(made.descriptor)
    }
    let sums = SumsFile(
      folder: scratch.folder, name: "x.sums", bytes: made.descriptor, length: length, blockSize: blockSize)
    #expect(sums.write(SumsHeader(identity: 1, seed: 2, length: length, blockSize: blockSize, validators: [])) == nil)
    var buffer = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    let blocks = Int(length / blockSize)
    var lines: [String] = []
    for batch in [16, 128] {
      var (writing, summing, reading) = (0.0, 0.0, 0.0)
      let rule = SumsRule(seed: 2, blockSize: blockSize, length: length)
      for first in stride(from: 0, to: blocks, by: batch) {
        writing += processor {
          for part in stride(from: first, to: first + batch, by: 16) {
            pwrite(made.descriptor, buffer, buffer.count, off_t(Int64(part) * blockSize))
          }
        }
        summing += processor {
          for part in stride(from: first, to: first + batch, by: 16) {
            buffer.withUnsafeMutableBytes {
              _ = rule.sums(of: [iovec(iov_base: $0.baseAddress, iov_len: $0.count)], at: Int64(part) * blockSize)
            }
          }
        }
        reading += processor { _ = sums.sum(first..<first + batch, known: BlockSums(seed: 2)) }
      }
      lines.append(
        "\(batch) blocks a job: from the buffer \(Int(summing * 1000)) ms, read back \(Int(reading * 1000)) ms, "
          + "writing \(Int(writing * 1000)) ms a GiB\n"
      )
    }
    for line in lines { _ = line.withCString { write(2, $0, strlen($0)) } }
  }
}
