import Core
import Glibc
import Support

@testable import Buckets

/// A store in a folder of its own, and requests to it without HTTP: the status of each is what a client would see.
final class BucketWorld: Sendable {
  let folder: String
  let store: BucketStore

  init(keptVersions: Int = 0, folder: String? = nil) throws {
    self.folder = try folder ?? TestFolder.make("buckets")
    store = try BucketStore.open(folder: self.folder + "/buckets", keptVersions: keptVersions)
  }

  static func remove(_ folder: String) { _ = shell("rm -rf '\(folder)'") }

  func bucket(_ name: String = "b") throws -> String {
    _ = try store.commit(CommitQueue.Order(mutation: .create(name: name)))
    return try store.buckets(named: name)[0].id
  }

  func blob(_ text: String) throws(BucketError) -> BlobUse {
    let file = try store.blobs.makeFile()
    let bytes = Array(text.utf8)
    let failure: BucketError? = bytes.withUnsafeBytes { bytes in
      do throws(BucketError) { try file.write(bytes) } catch { return error }
      return nil
    }
    if let failure { throw failure }
    try file.seal()
    return try store.blobs.install(file)
  }

  /// - Returns: 200, or the status of the error.
  func commit(_ bucket: String?, _ mutation: Mutation, uses: [BlobUse] = [], key: String? = nil, request: String = "")
    -> Int
  {
    var order = CommitQueue.Order(bucket: bucket, mutation: mutation, uses: uses)
    order.key = key
    order.request = request
    do throws(BucketError) { return try store.commit(order).status } catch { return error.status }
  }

  func put(
    _ bucket: String, _ path: String, _ text: String, _ precondition: Precondition = .none,
    _ conflict: ConflictPolicy = .reject, key: String? = nil
  ) -> Int {
    do throws(BucketError) {
      let use = try blob(text)
      var put = Mutation.Put(path: try BucketPath(path), blob: use.blob, size: Int64(text.utf8.count))
      put.precondition = precondition
      put.conflict = conflict
      return commit(bucket, .put(put), uses: [use], key: key, request: path + text)
    } catch {
      return error.status
    }
  }

  /// A path as a key: Swift's texts are equal if Unicode calls them so, and names are if their bytes are.
  static func key(_ path: String) -> String {
    path.utf8.reduce(into: "") { key, byte in
      key += (0x20..<0x7f).contains(byte) ? String(Unicode.Scalar(byte)) : "%" + String(byte, radix: 16)
    }
  }

  /// The paths of a version, as keys, and their bytes; nil: a folder.
  func tree(_ bucket: String, at reference: BucketView.Reference? = nil) throws -> [String: String?] {
    let view = try BucketView(store, bucket: bucket, at: reference)
    var walk = try TreeWalk(view, folder: BucketEntry(rootOf: view.bucket), at: .root, isDeep: true)
    var tree: [String: String?] = [:]
    while let (path, entry) = try walk.next() {
      let text = try entry.blob.map { try read($0, entry.size) }
      tree[Self.key(path.text)] = .some(text)
    }
    return tree
  }

  func read(_ blob: BlobID, _ size: Int64) throws -> String {
    guard let file = try store.blobs.open(blob) else { throw Errno.noEntry }
    var bytes = [UInt8](repeating: 0, count: Int(size) + 1)
    let count = pread(file.number, &bytes, bytes.count, 0)
    return count == Int(size) ? String(decoding: bytes[..<count], as: UTF8.self) : "torn"
  }

  /// All blobs on the disk.
  var blobs: Set<String> { Set((0..<256).flatMap { store.blobs.blobs(in: $0) }.map(\.hex)) }
}
