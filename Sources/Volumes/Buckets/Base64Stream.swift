import Core
import Glibc

/// A file as base64 within an object of JSON, made while it is sent. The connection's thread owns it.
final class Base64Stream: ReplyStream {
  private static let portion: Int64 = 48 << 10
  private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  private let file: OwnedDescriptor
  private let size: Int64
  private var position: Int64 = 0
  private var pending: [UInt8]
  private var offset = 0
  private let end: [UInt8]
  private var isAtEnd = false
  /// Bytes of the whole body.
  let count: Int64

  init(_ file: OwnedDescriptor, size: Int64, start: [UInt8], end: [UInt8]) {
    (self.file, self.size, pending, self.end) = (file, size, start, end)
    count = Int64(start.count + end.count) + (size + 2) / 3 * 4
  }

  func fill(_ buffer: UnsafeMutableRawBufferPointer) throws(BucketError) -> Int? {
    if offset == pending.count {
      guard !isAtEnd else { return nil }
      try make()
    }
    let count = min(buffer.count, pending.count - offset)
    pending.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count])) }
    offset += count
    return count
  }

  private func make() throws(BucketError) {
    offset = 0
    pending.removeAll(keepingCapacity: true)
    guard position < size else {
      pending = end
      isAtEnd = true
      return
    }
    // A multiple of three, except at the end.
    var bytes = [UInt8](repeating: 0, count: Int(min(Self.portion, size - position)))
    var got = 0
    while got < bytes.count {
      let count = bytes.withUnsafeMutableBytes {
        pread(file.number, $0.baseAddress.map { $0 + got }, $0.count - got, off_t(position + Int64(got)))
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw .disk("read", count < 0 ? .current : .io) }
      got += count
    }
    position += Int64(got)
    pending = Self.encode(bytes)
  }

  static func encode(_ bytes: [UInt8]) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let left = bytes.count - start
      let one = UInt32(bytes[start]) << 16
      let word = one | (left > 1 ? UInt32(bytes[start + 1]) << 8 : 0) | (left > 2 ? UInt32(bytes[start + 2]) : 0)
      text.append(digits[Int(word >> 18)])
      text.append(digits[Int(word >> 12 & 63)])
      text.append(left > 1 ? digits[Int(word >> 6 & 63)] : 0x3d)
      text.append(left > 2 ? digits[Int(word & 63)] : 0x3d)
    }
    return text
  }
}
