import Core

/// The bucket server as other modules of this process use it, without a connection. Calls wait for the disk.
extension BucketServer {
  package struct Bucket: Sendable, Equatable {
    /// A UUID in lower case.
    package var id: String
    package var name: String
    /// The version at its head.
    package var height: Int64
  }

  /// The newest first, all of them.
  package func buckets() throws(BucketError) -> [Bucket] {
    try service.opened().buckets(prefix: "", limit: .max).map(Bucket.init)
  }

  /// The bucket of that id or name.
  /// - Throws: 404, and 409 if several have the name.
  package func bucket(_ idOrName: String) throws(BucketError) -> Bucket {
    let store = try service.opened()
    if let id = BucketID.parse(idOrName) { return Bucket(try BucketView(store, bucket: id).bucket) }
    let found = try store.buckets(named: idOrName)
    guard let bucket = found.first else { throw BucketError(404, "Bucket not found: \(PrintableText.of(idOrName))") }
    guard found.count == 1 else {
      throw BucketError(
        409, "\(found.count) buckets are called \(PrintableText.of(idOrName)); use an id of `fsmvp bucket list`")
    }
    return Bucket(bucket)
  }

  /// Makes a bucket with some small files, unless there is one of that name.
  package func seed(_ name: String, files: [(path: String, text: String)]) throws(BucketError) {
    let store = try service.opened()
    guard try store.buckets(named: name).isEmpty else { return }
    _ = try store.commit(CommitQueue.Order(mutation: .create(name: name)))
    guard let bucket = try store.buckets(named: name).first else { return }
    for (path, text) in files {
      let file = try store.blobs.makeFile()
      var text = text
      let failure: BucketError? = text.withUTF8 { bytes in
        do throws(BucketError) { try file.write(UnsafeRawBufferPointer(bytes)) } catch { return error }
        return nil
      }
      if let failure { throw failure }
      try file.seal()
      let use = try store.blobs.install(file)
      let put = Mutation.Put(path: try BucketPath(path), blob: use.blob, size: file.size)
      _ = try store.commit(CommitQueue.Order(bucket: bucket.id, mutation: .put(put), uses: [use]))
    }
  }

  /// Calls `callback` with what happens in any bucket, once it is durable, on a thread of the server, which it may not
  /// hold up.
  /// - Returns: ends it with its last reference.
  package func follow(_ callback: @escaping @Sendable (_ bucket: String, _ events: [BucketEvent]) -> Void)
    throws(BucketError) -> BucketSubscription
  {
    let followers = try service.opened().followers
    return BucketSubscription(followers, followers.add(callback))
  }
}

extension BucketServer.Bucket {
  init(_ row: BucketRow) { self.init(id: row.id, name: row.name, height: row.height) }
}

/// Keeps a callback of `BucketServer.follow` while it lives.
package final class BucketSubscription: Sendable {
  private let followers: Followers
  private let number: UInt64

  init(_ followers: Followers, _ number: UInt64) { (self.followers, self.number) = (followers, number) }
  deinit { followers.remove(number) }
}
