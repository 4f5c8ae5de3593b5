import Core

/// Uploads of raw bytes: `/buckets/ID/fs` by POST and PATCH.
extension BucketService {
  /// The bucket in the path of the request.
  private func bucketInPath(_ request: BucketRequest) throws(BucketError) -> String {
    guard request.path.count > 3, let id = BucketID.parse(request.path[3]) else {
      throw .invalid("Invalid URL: the bucket's id is no UUID")
    }
    return id
  }

  /// The path of the file: `mount_path` is the folder that it is in.
  private func target(_ request: BucketRequest) throws(BucketError) -> BucketPath {
    let folder = try BucketPath(folder: try request.required("mount_path"))
    return try folder.child(try request.required("filename"))
  }

  private func conflictPolicy(_ request: BucketRequest) throws(BucketError) -> ConflictPolicy {
    guard let text = request.parameter("on_conflict") else { return .reject }
    guard let policy = ConflictPolicy(rawValue: text) else {
      let known = ConflictPolicy.allCases.map(\.rawValue).joined(separator: ", ")
      throw .invalid("Bad query: on_conflict has to be one of \(known)")
    }
    return policy
  }

  func upload(_ request: BucketRequest) throws(BucketError) -> any BodyReceiver {
    let id = try bucketInPath(request)
    let path = try target(request)
    var put = Mutation.Put(path: path, blob: BlobID(hex: ""), size: 0)
    put.precondition = try request.precondition()
    put.conflict = try conflictPolicy(request)
    let store = try opened()
    // Told before the body is sent, where that can be known.
    let view = try BucketView(store, bucket: id)
    if put.conflict == .reject, case .matchesNone = put.precondition, let entry = try? view.entry(path),
      !put.precondition.holds(for: entry.etag ?? "")
    {
      throw .preconditionFailed
    }
    return try UploadBody(request, store: store, limit: maxBody) { [self] (file) throws(BucketError) in
      try file.seal()
      let use = try store.blobs.install(file)
      put.blob = use.blob
      put.size = file.size
      return BucketReply(
        try commit(request, bucket: id, .put(put), uses: [use], body: Array(use.blob.hex.utf8)))
    }
  }

  /// Times that a patch is made anew because another request changed the file meanwhile.
  private static let patience = 16

  /// Bytes at an offset of a file that is there; behind its end, zeros fill the gap.
  func patch(_ request: BucketRequest) throws(BucketError) -> any BodyReceiver {
    let id = try bucketInPath(request)
    let path = try target(request)
    guard let offset = try request.number("offset", in: 0...(1 << 60)) else {
      throw .invalid("Bad query: missing field `offset`")
    }
    let precondition = try request.precondition()
    let store = try opened()
    _ = try BucketView(store, bucket: id).file(path)
    return try UploadBody(request, store: store, limit: maxBody) { [self] (block) throws(BucketError) in
      if let room = store.blobs.room, offset + block.size > room { throw .full }
      return try patches.withLock("\(id) \(path.text)") { () throws(BucketError) in
        for _ in 0..<Self.patience {
          let (entry, blob) = try BucketView(store, bucket: id).file(path)
          guard precondition.holds(for: entry.etag) else { throw .preconditionFailed }
          guard let old = try store.blobs.open(blob) else { continue }
          let file = try store.blobs.makeFile()
          try file.append(old.number, from: 0, count: min(offset, entry.size))
          try file.append(zeros: max(0, offset - entry.size))
          try file.append(block)
          let end = offset + block.size
          try file.append(old.number, from: min(end, entry.size), count: max(0, entry.size - end))
          try file.seal()
          let use = try store.blobs.install(file)
          var put = Mutation.Put(path: path, blob: use.blob, size: file.size)
          put.base = blob
          do throws(BucketError) {
            let body = Array((block.blob?.hex ?? "").utf8)
            return BucketReply(try commit(request, bucket: id, .put(put), uses: [use], body: body))
          } catch {
            guard error.isOvertaken else { throw error }
          }
        }
        throw BucketError.overtaken
      }
    }
  }
}

/// A body of raw bytes on its way into the store. The connection's thread owns it.
final class UploadBody: BodyReceiver {
  private(set) var refusal: BucketError?
  private var file: BlobFile?
  private let limit: Int64
  private var dropped = 0
  private let answer: (BlobFile) throws(BucketError) -> BucketReply

  /// - Parameter limit: in bytes; 0: none.
  /// - Throws: 413 and 507, where the request's head tells.
  init(
    _ request: BucketRequest, store: BucketStore, limit: Int64,
    _ answer: @escaping (BlobFile) throws(BucketError) -> BucketReply
  ) throws(BucketError) {
    self.limit = limit
    self.answer = answer
    if limit > 0, request.announcedLength > limit { throw Self.tooLarge(limit) }
    if let room = store.blobs.room, request.announcedLength > room { throw .full }
    file = try store.blobs.makeFile()
  }

  static func tooLarge(_ limit: Int64) -> BucketError {
    BucketError(413, "The body is larger than \(ByteCount.format(limit)); see bucket_max_body")
  }

  func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard refusal == nil, let file else {
      // A client of a full disk gets to hear of it; one that sends more than it may, for a while.
      dropped += bytes.count
      return refusal?.status != 413 || dropped <= NoBody.limit
    }
    do throws(BucketError) {
      if limit > 0, file.size + Int64(bytes.count) > limit { throw Self.tooLarge(limit) }
      try file.write(bytes)
    } catch {
      refusal = error
      self.file = nil
    }
    return true
  }

  func finish() throws(BucketError) -> BucketReply {
    if let refusal { throw refusal }
    guard let file else { throw BucketError(500, "an upload without a file") }
    defer { self.file = nil }
    return try answer(file)
  }
}
