import CLinux
import Core
import Glibc

/// A version of a bucket as files on this machine's disk. The tree is made beside the target and renamed when it is
/// whole, so that a failure leaves nothing.
extension BucketService {
  /// - Parameter isLocal: whether the client is a process of this user for sure.
  func export(_ request: BucketRequest, isLocal: Bool) -> any BodyReceiver {
    JSONBody(request, RequestBodies.Export.self) { [self] (body, _) throws(BucketError) in
      guard isLocal else {
        throw BucketError(403, "Forbidden: `export` writes to this machine's disk and works on Unix sockets only")
      }
      guard body.target_dir.hasPrefix("/"), !body.target_dir.utf8.contains(0) else {
        throw .invalid("Path must be absolute: \(PrintableText.of(body.target_dir))")
      }
      let view = try BucketView(opened(), bucket: body.bucket_id.text)
      let count = try ExportedTree(view).write(to: body.target_dir)
      let head: [(String, JSONText)] = [
        ("bucket_name", .text(view.bucket.name)), ("link", .link(view.link)), ("height", .number(view.height)),
        ("files_exported", .number(count)),
      ]
      let start = Array(JSONText.object(head).bytes.dropLast()) + Array(",\"hash_map\":{".utf8)
      let walk = try TreeWalk(view, folder: BucketEntry(rootOf: view.bucket), at: .root, isDeep: true)
      let stream = WalkStream(walk, start: start, end: Array("}}".utf8)) { path, entry in
        entry.blob.map { JSONText.text(path.text).bytes + [0x3a] + JSONText.text($0.hex).bytes }
      }
      return BucketReply(type: "application/json", body: .stream(stream, count: nil))
    }
  }
}

/// The files and folders of a version, on their way to the disk. The connection's thread owns the value.
private struct ExportedTree {
  private let view: BucketView

  init(_ view: BucketView) { self.view = view }

  /// - Parameter target: may not exist, or is an empty folder.
  /// - Returns: how many files there are.
  func write(to target: String) throws(BucketError) -> Int64 {
    var end = target[...]
    while end.hasSuffix("/") { end.removeLast() }
    guard !end.isEmpty else { throw .invalid("The bucket cannot be exported to the root of the file system") }
    let fresh = "\(end).exporting-\(String(UInt32.random(in: .min ... .max), radix: 16))"
    guard mkdir(fresh, 0o755) == 0 else { throw Self.failure(fresh, .current) }
    do throws(BucketError) {
      let count = try fill(fresh)
      // An empty folder gives way to another one.
      guard rename(fresh, String(end)) == 0 else { throw Self.failure(String(end), .current) }
      return count
    } catch {
      Self.remove(fresh)
      throw error
    }
  }

  private func fill(_ folder: String) throws(BucketError) -> Int64 {
    var count: Int64 = 0
    var walk = try TreeWalk(view, folder: BucketEntry(rootOf: view.bucket), at: .root, isDeep: true)
    while let (path, entry) = try walk.next() {
      let place = folder + path.text
      guard let blob = entry.blob else {
        guard mkdir(place, 0o755) == 0 else { throw Self.failure(place, .current) }
        continue
      }
      guard let source = try view.store.blobs.open(blob) else {
        throw BucketError(500, "The bytes of \(path.shown) are missing from the bucket store")
      }
      let descriptor = clinux_open(place, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644)
      guard descriptor >= 0 else { throw Self.failure(place, .current) }
      let target = OwnedDescriptor(descriptor)
      try Self.copy(source.number, to: target.number, size: entry.size, place)
      count += 1
    }
    return count
  }

  private static func copy(_ source: Int32, to target: Int32, size: Int64, _ place: String) throws(BucketError) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    defer { buffer.deallocate() }
    var offset: Int64 = 0
    while offset < size {
      let got = pread(source, buffer.baseAddress, buffer.count, off_t(offset))
      if got < 0, errno == EINTR { continue }
      guard got > 0 else { throw .disk("read", got < 0 ? .current : .io) }
      var done = 0
      while done < got {
        let count = pwrite(target, buffer.baseAddress.map { $0 + done }, got - done, off_t(offset) + off_t(done))
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { throw failure(place, count < 0 ? .current : .io) }
        done += count
      }
      offset += Int64(got)
    }
  }

  private static func failure(_ place: String, _ error: Errno) -> BucketError {
    let shown = PrintableText.of(place)
    switch error.code {
    case EEXIST, ENOTEMPTY: return .conflict("Already exists: \(shown)")
    case ENOENT, ENOTDIR, ENAMETOOLONG: return .invalid("Cannot export to \(shown): \(error)")
    case EACCES, EPERM, EROFS: return BucketError(403, "Forbidden: \(shown) cannot be written to: \(error)")
    case ENOSPC, EDQUOT: return BucketError(507, "The disk of \(shown) is full; nothing was exported")
    default: return BucketError(500, "\(shown) cannot be written: \(error)")
    }
  }

  private static func remove(_ folder: String) {
    for name in BlobStore.names(in: folder) {
      let path = "\(folder)/\(name)"
      if unlink(path) != 0, errno == EISDIR || errno == EPERM { remove(path) }
    }
    rmdir(folder)
  }
}
