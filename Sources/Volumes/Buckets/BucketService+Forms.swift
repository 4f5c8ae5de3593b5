import Core

/// Uploads as forms: `add` and `update`.
extension BucketService {
  func add(_ request: BucketRequest, _ connection: OpaquePointer?) throws(BucketError) -> any BodyReceiver {
    let store = try opened()
    return try MultipartBody(
      request, connection: connection, fileNames: ["file", "files"], store: store, limit: maxBody
    ) { [self] (form) throws(BucketError) in
      let (id, path) = try form.place()
      let folder = try BucketPath(folder: path)
      guard !form.files.isEmpty else { throw .invalid("Bad request: no file") }
      var parts: [Mutation.Part] = []
      var uses: [BlobUse] = []
      for (name, result) in form.files {
        var part = Mutation.Part(path: nil, name: name, blob: nil, size: 0)
        do throws(BucketError) {
          part.path = try folder.child(name)
          let file = try result.get()
          try file.seal()
          let use = try store.blobs.install(file)
          uses.append(use)
          (part.blob, part.size) = (use.blob, file.size)
        } catch {
          guard error.status < 500 else { throw error }
          part.refusal = error
        }
        parts.append(part)
      }
      return BucketReply(
        try commit(request, bucket: id, .add(folder: folder, parts), uses: uses, body: Self.fingerprint(id, parts)))
    }
  }

  func update(_ request: BucketRequest, _ connection: OpaquePointer?) throws(BucketError) -> any BodyReceiver {
    let store = try opened()
    let precondition = try request.precondition()
    return try MultipartBody(request, connection: connection, fileNames: ["file"], store: store, limit: maxBody) {
      [self] (form) throws(BucketError) in
      let (id, text) = try form.place()
      let path = try BucketPath(text)
      guard form.files.count == 1 else { throw .invalid("Bad request: \(form.files.count) files in place of one") }
      let file = try form.files[0].result.get()
      try file.seal()
      let use = try store.blobs.install(file)
      var put = Mutation.Put(path: path, blob: use.blob, size: file.size)
      put.precondition = precondition
      put.answer = .update
      let body = Array("\(id) \(path.text)\n\(use.blob.hex)".utf8)
      return BucketReply(try commit(request, bucket: id, .put(put), uses: [use], body: body))
    }
  }

  private static func fingerprint(_ id: String, _ parts: [Mutation.Part]) -> [UInt8] {
    Array((id + parts.map { "\n\($0.path?.text ?? $0.name)\n\($0.blob?.hex ?? "")" }.joined()).utf8)
  }
}

extension MultipartBody.Form {
  /// The bucket's id and the path that the form names.
  fileprivate func place() throws(BucketError) -> (id: String, path: String) {
    guard let text = fields["bucket_id"] else { throw .invalid("Bad request: missing field `bucket_id`") }
    guard let id = BucketID.parse(text) else { throw .invalid("Bad request: bucket_id is no UUID") }
    guard let path = fields["mount_path"] else { throw .invalid("Bad request: missing field `mount_path`") }
    return (id, path)
  }
}
