import Core

/// The operations of the bucket API: from a checked request to the receiver of its body, and to its answer. It has no
/// state of its own but the locks of files that are patched. `BucketServer` owns it; connections' threads use it.
final class BucketService: Sendable {
  /// Nil: the buckets could not be opened, and `problem` says why.
  let store: BucketStore?
  let problem: String
  /// Bytes of an upload at most; 0: no limit.
  let maxBody: Int64
  /// Tells this control plane from others.
  let nodeID: String
  let version: String
  let patches = PathLocks()

  init(_ store: Result<BucketStore, BucketStore.Failure>, maxBody: Int64, nodeID: String, version: String) {
    switch store {
    case .success(let store): (self.store, problem) = (store, "")
    case .failure(let failure): (self.store, problem) = (nil, failure.sentence)
    }
    self.maxBody = maxBody
    self.nodeID = nodeID
    self.version = version
  }

  /// - Throws: 503.
  func opened() throws(BucketError) -> BucketStore {
    guard let store else { throw BucketError(503, "There are no buckets: \(problem)") }
    return store
  }

  /// Commits a mutation of a request.
  /// - Parameter body: tells the request from others of the same target, for its Idempotency-Key.
  func commit(
    _ request: BucketRequest, bucket: String?, _ mutation: Mutation, uses: [BlobUse] = [], body: [UInt8] = []
  ) throws(BucketError) -> MutationAnswer {
    var order = CommitQueue.Order(bucket: bucket, mutation: mutation, uses: uses)
    order.origin = try request.origin()
    order.key = try request.idempotencyKey()
    if order.key != nil { order.request = request.fingerprint(body) }
    return try opened().commit(order)
  }
}

extension BucketRequest {
  /// Tells requests of the same method and target apart by their bodies.
  fileprivate func fingerprint(_ body: [UInt8]) -> String {
    let hash = ContentHash()
    Array("\(method) \(target)\n".utf8).withUnsafeBytes { hash.update($0) }
    body.withUnsafeBytes { hash.update($0) }
    return hash.finish().hex
  }
}
