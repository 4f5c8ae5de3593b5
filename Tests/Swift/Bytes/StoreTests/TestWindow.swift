import Core
import Glibc
import Synchronization

@testable import Store

/// A window of real memory, and a map that remembers what it was told; reading goes the way the shim's does.
final class TestWindow: WindowMap {
  struct Word: Equatable {
    var frame: Int
    var generation: UInt32
    var isWhole: Bool
  }
  static let count = 4096
  let descriptor: Int32
  private let state = Mutex<(words: [Int: Word], seen: Set<UInt64>, isWrong: Bool)>(([:], [], false))
  private let uses = Mutex<[Int: UInt64]>([:])

  init() throws {
    let name = "/fsmvp-test-window-\(getpid())-\(UInt64.random(in: 0 ... .max))"
    descriptor = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0o600)
    shm_unlink(name)
    guard descriptor >= 0, ftruncate(descriptor, off_t(Self.count) * off_t(WindowPool.blockSize)) == 0 else {
      throw Errno.current
    }
  }
  deinit { close(descriptor) }

  func put(_ block: Int, frame: Int, generation: UInt32, isWhole: Bool) {
    state.withLock { state in
      let word = Word(frame: frame, generation: generation, isWhole: isWhole)
      // The same word again may only become whole.
      if state.words[block] != Word(frame: frame, generation: generation, isWhole: false) {
        if !state.seen.insert(UInt64(generation)).inserted { state.isWrong = true }
      }
      if state.words.contains(where: { $0.key != block && $0.value.frame == frame }) { state.isWrong = true }
      state.words[block] = word
    }
  }
  func note(version: UInt64) { noted.withLock { $0 = version } }
  /// The version that was noted last.
  var version: UInt64 { noted.withLock { $0 } }
  private let noted = Mutex<UInt64>(0)
  func clear(_ block: Int) { state.withLock { $0.words[block] = nil } }

  var words: [Int: Word] { state.withLock { $0.words } }
  /// A generation came twice, or two blocks were in one frame.
  var isWrong: Bool { state.withLock { $0.isWrong } }

  /// A pool that comes after another one uses none of its generations.
  var highest: UInt32 { state.withLock { UInt32($0.seen.max() ?? 0) } }

  func lastUse(_ frame: Int) -> UInt64 { uses.withLock { $0[frame] ?? 0 } }

  func memory(_ frame: Int, _ offset: Int, _ count: Int) -> [UInt8] {
    var part = [UInt8](repeating: 0, count: count)
    let read = part.withUnsafeMutableBytes {
      pread(descriptor, $0.baseAddress, $0.count, off_t(frame) * off_t(WindowPool.blockSize) + off_t(offset))
    }
    return Array(part.prefix(max(0, read)))
  }

  /// The bytes of `range`; nil where a block of it is not here (or not whole, unless `isVouched`).
  func read(_ range: ByteRange, isVouched: Bool) -> [UInt8]? {
    var bytes: [UInt8] = []
    var offset = range.start
    while offset < range.end {
      let block = Int(offset / WindowPool.blockSize)
      guard let word = words[block], word.isWhole || isVouched else { return nil }
      let within = offset % WindowPool.blockSize
      let count = min(range.end - offset, WindowPool.blockSize - within)
      let part = memory(word.frame, Int(within), Int(count))
      guard part.count == count, words[block]?.generation == word.generation else { return nil }
      let pages = UInt64((within + count + 4095) / 4096)
      uses.withLock { $0[word.frame] = SystemClock().now().nanoseconds & ~127 | pages }
      bytes += part
      offset += count
    }
    return bytes
  }
}

extension WindowPool {
  @TransferLoop static func test(_ window: TestWindow, budget: Int64) throws -> WindowPool {
    guard
      let pool = WindowPool(
        descriptor: window.descriptor, frames: TestWindow.count, budget: budget, generation: window.highest,
        lastUse: { [weak window] in window?.lastUse($0) ?? 0 })
    else { throw Errno.current }
    return pool
  }
}
