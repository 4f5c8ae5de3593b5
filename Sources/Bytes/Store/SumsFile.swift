import Core
import Glibc

/// The file beside a file of bytes that has a sum of each block, so that after a death of everything the bytes can be
/// told from junk. It is of use only then: what cannot be written of it is not missed before.
///
/// Every call waits for the disk: worker threads only, and one at a time. The value owns no descriptor: `SparseStore`
/// owns that of the file of bytes, and each call opens and closes the file of sums.
struct SumsFile: Sendable {
  let folder: CacheFolder
  let name: String
  /// Descriptor of the file of bytes.
  let bytes: Int32
  let length: Int64
  let blockSize: Int64

  /// `x.sums` for `x.bytes`.
  static func name(of file: String) -> String { (file.hasSuffix(".bytes") ? String(file.dropLast(6)) : file) + ".sums" }

  /// Makes the file where there is none.
  func write(_ header: SumsHeader) -> Errno? {
    writing(O_CREAT) { Self.write($0, header.bytes, at: 0) }
  }

  /// The sums of blocks that are whole in the file of bytes, as they are there now.
  func sum(_ blocks: Range<Int>, known: BlockSums) -> Errno? {
    let sums = hashes(of: blocks, known)
    return writing(0) { descriptor in
      sums.withUnsafeBytes { Self.write(descriptor, Array($0), at: Self.offset(blocks.lowerBound)) }
    }
  }

  /// The blocks that still are what was summed.
  func check(_ blocks: Range<Int>, seed: UInt64) -> [Range<Int>] {
    var sums = [UInt64](repeating: 0, count: blocks.count)
    let descriptor = open(O_RDONLY)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    let count = sums.withUnsafeMutableBytes {
      pread(descriptor, $0.baseAddress, $0.count, off_t(Self.offset(blocks.lowerBound)))
    }
    guard count == blocks.count * 8 else { return [] }
    let found = hashes(of: blocks, BlockSums(seed: seed))
    return Self.runs(blocks) { sums[$0] != 0 && sums[$0] == found[$0] }
  }

  /// - Returns: nil where there is none that we can have written for this file.
  func read(identity: UInt64) -> (header: SumsHeader, blocks: RangeSet)? {
    let descriptor = open(O_RDONLY)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    guard let header = Self.header(in: descriptor, length: length), header.blockSize == blockSize,
      header.identity == identity
    else {
      return nil
    }
    var blocks = RangeSet()
    let total = blockCount
    var sums = [UInt64](repeating: 0, count: 8192)
    var first = 0
    while first < total {
      let wanted = min(sums.count, total - first)
      let count = sums.withUnsafeMutableBytes {
        pread(descriptor, $0.baseAddress, wanted * 8, off_t(Self.offset(first)))
      }
      guard count >= 8 else { break }
      for run in Self.runs(first..<first + count / 8, where: { sums[$0] != 0 }) {
        blocks.insert(ByteRange(Int64(run.lowerBound), Int64(run.upperBound)))
      }
      // A file shredded like this is worth less than what it costs to remember.
      guard blocks.ranges.count < 65_536 else { break }
      first += count / 8
    }
    return (header, blocks)
  }

  private static func header(in descriptor: Int32, length: Int64) -> SumsHeader? {
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid() else {
      return nil
    }
    var page = [UInt8](repeating: 0, count: SumsHeader.size)
    guard page.withUnsafeMutableBytes({ pread(descriptor, $0.baseAddress, $0.count, 0) }) == page.count else {
      return nil
    }
    guard let header = SumsHeader(page), header.length == length else { return nil }
    return header
  }

  /// Whether there is a file of sums for `file` of this item and length.
  static func stands(for file: String, in folder: CacheFolder, length: Int64, identity: UInt64) -> Bool {
    let descriptor = openat(folder.descriptor, name(of: file), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return header(in: descriptor, length: length)?.identity == identity
  }

  /// Whether every block of `file` has a sum, which a block gets when all of it is written.
  static func areWhole(for file: String, in folder: CacheFolder, length: Int64, identity: UInt64) -> Bool {
    let descriptor = openat(folder.descriptor, name(of: file), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    guard let header = header(in: descriptor, length: length) else { return false }
    let sums = SumsFile(folder: folder, name: name(of: file), bytes: -1, length: length, blockSize: header.blockSize)
    return sums.read(identity: identity)?.blocks.contains(ByteRange(0, Int64(sums.blockCount))) ?? false
  }

  // MARK: Parts

  private var blockCount: Int { length == 0 ? 0 : Int((length - 1) / blockSize + 1) }

  private static func offset(_ block: Int) -> Int64 { Int64(SumsHeader.size) + Int64(block) * 8 }

  private func open(_ flags: Int32) -> Int32 {
    openat(folder.descriptor, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
  }

  private func writing(_ flags: Int32, _ body: (Int32) -> Errno?) -> Errno? {
    let descriptor = open(O_WRONLY | flags)
    guard descriptor >= 0 else { return .current }
    defer { close(descriptor) }
    return body(descriptor)
  }

  private static func write(_ descriptor: Int32, _ bytes: [UInt8], at offset: Int64) -> Errno? {
    let count = pwrite(descriptor, bytes, bytes.count, off_t(offset))
    return count == bytes.count ? nil : count < 0 ? .current : .noSpace
  }

  /// 0 for a block that cannot be read. One block at a time, as that much stays in a processor's cache from the copy to
  /// the sum.
  private func hashes(of blocks: Range<Int>, _ known: BlockSums) -> [UInt64] {
    let rule = SumsRule(seed: known.seed, blockSize: blockSize, length: length)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(blockSize), alignment: 64)
    defer { buffer.deallocate() }
    return blocks.map { block in
      if let sum = known.blocks[block] { return sum }
      let offset = Int64(block) * blockSize
      let wanted = Int(min(blockSize, length - offset))
      guard wanted > 0, pread(bytes, buffer.baseAddress, wanted, off_t(offset)) == wanted else { return 0 }
      return rule.sum(UnsafeRawBufferPointer(rebasing: buffer[..<wanted]))
    }
  }

  /// The runs of `blocks` for whose index in it a claim holds.
  private static func runs(_ blocks: Range<Int>, where holds: (Int) -> Bool) -> [Range<Int>] {
    var runs: [Range<Int>] = []
    var start: Int?
    for index in 0...blocks.count {
      let isIn = index < blocks.count && holds(index)
      if isIn, start == nil { start = index }
      if !isIn, let first = start {
        runs.append(blocks.lowerBound + first..<blocks.lowerBound + index)
        start = nil
      }
    }
    return runs
  }
}
