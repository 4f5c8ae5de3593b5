import Core
import EventLoop
import Glibc
import HTTPSource
import Testing
import Transfer

@testable import Store

/// How fast a file is filled from a real server, and read in order meanwhile; off unless told where:
/// `FSMVP_FILL_BENCH=http://127.0.0.1:PORT/ FSMVP_FILL_SIZE=BYTES swift test -c release -Xswiftc -enable-testing
/// --filter FillBench`.
@Suite(.serialized, .enabled(if: getenv("FSMVP_FILL_BENCH") != nil))
struct FillBench {
  init() { EventLoop.start() }

  private func value(_ name: String) -> String { getenv(name).map { String(cString: $0) } ?? "" }

  @Test("cold sequential fill")
  @TransferLoop func fill() async throws {
    let size = Int64(value("FSMVP_FILL_SIZE")) ?? 1 << 30
    let origin = HTTPSource(size: size, links: FixedLinks(value("FSMVP_FILL_BENCH")), client: HTTPClient())
    let scratch = try ScratchFolder()
    let budget = FetchBudget()
    let store = try await SparseStore.create(
      name: "fill", in: scratch.folder, origin: origin, budget: budget, blockSize: 256 << 10)
    let clock = SystemClock()
    let begin = clock.now()
    store.setFilling(true)
    let step: Int64 = value("FSMVP_FILL_READ").isEmpty ? size : 1 << 20
    var worst = Duration.zero
    var offset: Int64 = 0
    // An uploader of that rate that takes each MiB as it comes: when would it be done?
    let pace = Double(value("FSMVP_FILL_PACE")) ?? 0
    var uploaded = 0.0
    while offset < size {
      let range = ByteRange(offset, min(size, offset + step))
      let asked = clock.now()
      #expect(await store.bytes(range) == .success(range))
      worst = max(worst, clock.now() - asked)
      if pace > 0 { uploaded = max(uploaded, (clock.now() - begin).seconds) + Double(range.count) / pace }
      offset = range.end
    }
    let seconds = (clock.now() - begin).seconds
    if pace > 0 {
      let ratio = "upload \(uploaded) s, \(uploaded / (Double(size) / pace)) of the slower side\n"
      _ = ratio.withCString { write(2, $0, strlen($0)) }
    }
    let line =
      "fill \(Int(seconds * 1000)) ms \(Int(Double(size) / seconds / 1e6)) MB/s, slowest read \(worst.milliseconds) "
      + "ms, streams \(store.engine.plan.tuner.streams)\n"
    _ = line.withCString { write(2, $0, strlen($0)) }
    if let kept = getenv("FSMVP_FILL_KEEP") { _ = linkat(scratch.folder.descriptor, "fill", AT_FDCWD, kept, 0) }
    await store.closed()
    #expect(budget.isUnused)
  }
}
