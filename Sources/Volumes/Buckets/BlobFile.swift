import CLinux
import CWire
import Core
import Glibc

/// A file on its way into the store: its bytes so far, in a temporary file, and their hash. A connection's thread owns
/// it; it waits for the disk. Without `BlobStore.install` the file goes with the value.
final class BlobFile {
  let path: String
  private let descriptor: Int32
  private(set) var size: Int64 = 0
  private var hash = ContentHash()
  /// Nil until it is sealed.
  private(set) var blob: BlobID?
  /// Set by `BlobStore`, once it has another name.
  var isInstalled = false

  init(in folder: String) throws(BucketError) {
    path = "\(folder)/\(String(UInt64.random(in: .min ... .max), radix: 16))"
    descriptor = clinux_open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw .disk("open", .current) }
  }

  deinit {
    close(descriptor)
    if !isInstalled { unlink(path) }
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws(BucketError) {
    hash.update(bytes)
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw .disk("write", count < 0 ? .current : .io) }
      rest = rest.dropFirst(count)
      size += Int64(count)
    }
  }

  /// Appends a part of another file.
  func append(_ source: Int32, from start: Int64, count: Int64) throws(BucketError) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.portion, alignment: 16)
    defer { buffer.deallocate() }
    var offset = start
    while offset < start + count {
      let wanted = min(Int64(buffer.count), start + count - offset)
      let got = pread(source, buffer.baseAddress, Int(wanted), off_t(offset))
      if got < 0, errno == EINTR { continue }
      guard got > 0 else { throw .disk("read", got < 0 ? .current : .io) }
      try write(UnsafeRawBufferPointer(rebasing: buffer[..<got]))
      offset += Int64(got)
    }
  }

  /// Appends all of another file; its hash is known afterwards.
  func append(_ other: BlobFile) throws(BucketError) {
    try append(other.descriptor, from: 0, count: other.size)
    if other.blob == nil { other.blob = other.replaceHash().finish() }
  }

  func append(zeros count: Int64) throws(BucketError) {
    let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.portion, alignment: 16)
    defer { zeros.deallocate() }
    zeros.initializeMemory(as: UInt8.self, repeating: 0)
    var left = count
    while left > 0 {
      let part = min(left, Int64(zeros.count))
      try write(UnsafeRawBufferPointer(rebasing: zeros[..<Int(part)]))
      left -= part
    }
  }

  private static let portion = 256 << 10

  /// Ends the writing: the bytes are on the disk, and the hash is known.
  func seal() throws(BucketError) {
    guard blob == nil else { return }
    guard fsync(descriptor) == 0 else { throw .disk("fsync", .current) }
    blob = replaceHash().finish()
    fsmvp_kill_point("bucket.blob.written")
  }

  private func replaceHash() -> ContentHash {
    var other = ContentHash()
    swap(&hash, &other)
    return other
  }
}
