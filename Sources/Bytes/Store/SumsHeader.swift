import ByteSource
import CXXHash
import Core

/// The first page of a file of sums: whose bytes were summed, and under which validators they came. After it comes a
/// sum of 8 bytes for each block, 0 where there is none. All little endian.
///
///     0     magic, "fsmvsums"
///     8     version (32 bit), validators (32 bit)
///     16    identity of the item, as the folder's owner numbers it
///     24    seed of the sums: drawn anew with each version of the source, so that no sum of another version ever
///           agrees
///     32    length of the file, block size (64 bit each)
///     48    ETag and Last-Modified of each validator, as a 16 bit length and so many bytes; nothing is a length of 0
///     4088  XXH3-64 of all before
///
/// It is a value without input or output: `SumsPlan` keeps it, and `SumsFile` writes and reads it.
struct SumsHeader: Equatable, Sendable {
  static let size = 4096
  /// The texts' end.
  private static let end = size - 8
  private static let magic: UInt64 = 0x736d_7573_766d_7366
  private static let version: UInt32 = 1
  private static let textLimit = 1024

  var identity: UInt64
  var seed: UInt64
  var length: Int64
  var blockSize: Int64
  /// Validators of versions whose bytes were found equal.
  var validators: [Validator]

  /// The header's bytes. Validators that do not fit are left out, the oldest first: that only costs a comparison.
  var bytes: [UInt8] {
    var texts: [UInt8] = []
    var count: UInt32 = 0
    for validator in validators.reversed() {
      let both = Self.text(validator.etag) + Self.text(validator.lastModified)
      guard 48 + texts.count + both.count <= Self.end else { break }
      texts += both
      count += 1
    }
    var page: [UInt8] = []
    page.reserveCapacity(Self.size)
    page.append(little: Self.magic)
    page.append(little: UInt64(Self.version) | UInt64(count) << 32)
    page.append(little: identity)
    page.append(little: seed)
    page.append(little: UInt64(bitPattern: length))
    page.append(little: UInt64(bitPattern: blockSize))
    page += texts
    page += [UInt8](repeating: 0, count: Self.end - page.count)
    page.append(little: Self.hash(page))
    return page
  }

  init(identity: UInt64, seed: UInt64, length: Int64, blockSize: Int64, validators: [Validator]) {
    self.identity = identity
    self.seed = seed
    self.length = length
    self.blockSize = blockSize
    self.validators = validators
  }

  /// nil for what we cannot have written, or not as a whole.
  init?(_ page: [UInt8]) {
    guard page.count == Self.size, page.little(0) == Self.magic,
      page.little(Self.end) == Self.hash(Array(page[..<Self.end]))
    else {
      return nil
    }
    let versions = page.little(8)
    guard UInt32(truncatingIfNeeded: versions) == Self.version else { return nil }
    identity = page.little(16)
    seed = page.little(24)
    length = Int64(bitPattern: page.little(32))
    blockSize = Int64(bitPattern: page.little(40))
    guard length >= 0, blockSize > 0 else { return nil }
    validators = []
    var offset = 48
    func text() -> String?? {
      guard offset + 2 <= Self.end else { return nil }
      let count = Int(page[offset]) | Int(page[offset + 1]) << 8
      let start = offset + 2
      guard count <= Self.textLimit, start + count <= Self.end,
        page[start..<start + count].allSatisfy({ (0x20...0x7e).contains($0) })
      else { return nil }
      offset = start + count
      return .some(count == 0 ? nil : String(decoding: page[start..<offset], as: UTF8.self))
    }
    for _ in 0..<versions >> 32 {
      guard let etag = text(), let modified = text() else { return nil }
      if let etag, etag.utf8.count < 2 || !etag.hasPrefix("\"") || !etag.hasSuffix("\"") { return nil }
      validators.insert(Validator(etag: etag, lastModified: modified), at: 0)
    }
  }

  private static func text(_ text: String?) -> [UInt8] {
    let bytes = Array((text ?? "").utf8)
    guard bytes.count <= textLimit else { return [0, 0] }
    return [UInt8(truncatingIfNeeded: bytes.count), UInt8(truncatingIfNeeded: bytes.count >> 8)] + bytes
  }

  private static func hash(_ bytes: [UInt8]) -> UInt64 {
    bytes.withUnsafeBytes { cxxhash($0.baseAddress, $0.count, 0) }
  }
}

extension [UInt8] {
  fileprivate mutating func append(little value: UInt64) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
  fileprivate func little(_ offset: Int) -> UInt64 {
    (0..<8).reduce(0) { $0 | UInt64(self[offset + $1]) << UInt64(8 * $1) }
  }
}
