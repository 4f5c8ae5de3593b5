import Core

/// Noise that says where it belongs. Every page of 4 KiB is a page of a table of random bytes with a stamp over its
/// first bytes:
///
///     0 ..< 8    the page's offset in the file, little endian
///     8 ..< 16   the file's hash (id and version)
///     16 ..< 32  on every 16th page, beginning with the first: the recipient's mark, a hash of the tag
///
/// So a byte at a wrong offset, of a wrong file, of another version or of another recipient's copy always shows, the
/// copies differ at equal length, and a byte costs a memcpy: several GB/s. It is a value that does not change; the
/// table is shared by all.
struct PlainContent: Content {
  static let page = 4096
  private static let stampSize = 32
  /// A table of 128 pages stays in the second-level cache; made at the first use, for an idle simulator should cost
  /// nothing.
  private static let tablePages = 128
  private static let table: [UInt64] = {
    var random = SplitMix(state: 0x5eed)
    return (0..<tablePages * page / 8).map { _ in random.next() }
  }()

  let size: Int64
  private let seed: UInt64
  private let mark: (UInt64, UInt64)

  init(id: String, size: Int64, tag: String, version: Int) {
    self.size = size
    var hash = StableHash()
    hash.combine(id.utf8)
    hash.combine("\(version)".utf8)
    seed = hash.value
    hash.combine(tag.utf8)
    var random = SplitMix(state: hash.value)
    mark = (random.next(), random.next())
  }

  func fill(_ buffer: UnsafeMutableRawBufferPointer, from offset: Int64) {
    Self.table.withUnsafeBytes { table in
      var done = 0
      while done < buffer.count {
        let position = Int(offset) + done
        let inPage = position % Self.page
        let count = min(Self.page - inPage, buffer.count - done)
        let target = UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + count])
        let slot = (position / Self.page &+ Int(truncatingIfNeeded: seed)) & (Self.tablePages - 1)
        let source = slot * Self.page + inPage
        target.copyMemory(from: UnsafeRawBufferPointer(rebasing: table[source..<source + count]))
        if inPage < Self.stampSize { stamp(target, page: position / Self.page, from: inPage) }
        done += count
      }
    }
  }

  private func stamp(_ target: UnsafeMutableRawBufferPointer, page: Int, from first: Int) {
    let offset = UInt64(page * Self.page).littleEndian
    let length = page % 16 == 0 ? Self.stampSize : 16
    guard first < length else { return }
    if first == 0, target.count >= length {
      target.storeBytes(of: offset, toByteOffset: 0, as: UInt64.self)
      target.storeBytes(of: seed.littleEndian, toByteOffset: 8, as: UInt64.self)
      guard length > 16 else { return }
      target.storeBytes(of: mark.0.littleEndian, toByteOffset: 16, as: UInt64.self)
      target.storeBytes(of: mark.1.littleEndian, toByteOffset: 24, as: UInt64.self)
    } else {
      let words = [offset, seed.littleEndian, mark.0.littleEndian, mark.1.littleEndian]
      words.withUnsafeBytes { stamp in
        for index in first..<min(length, first + target.count) { target[index - first] = stamp[index] }
      }
    }
  }
}

/// Sebastiano Vigna's SplitMix64: the same numbers in every process, unlike the system's generator.
/// https://prng.di.unimi.it/splitmix64.c
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
