import Core

/// Requests that change names: buckets, folders, removals, moves.
extension BucketService {
  private static let longestName = 255

  func create(_ request: BucketRequest) -> any BodyReceiver {
    JSONBody(request, RequestBodies.Create.self) { [self] (body, bytes) throws(BucketError) in
      if let fault = Self.fault(ofBucketName: body.name) { throw .invalid("Invalid name: \(fault)") }
      return BucketReply(try commit(request, bucket: nil, .create(name: body.name), body: bytes))
    }
  }

  static func fault(ofBucketName name: String) -> String? {
    if name.allSatisfy(\.isWhitespace) { return "it is empty" }
    if name.utf8.count > longestName { return "it has more than \(longestName) bytes" }
    let isSteering = name.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7f }
    return isSteering ? "it has a control character in it" : nil
  }

  func makeFolder(_ request: BucketRequest) -> any BodyReceiver {
    JSONBody(request, RequestBodies.Place.self) { [self] (body, bytes) throws(BucketError) in
      let path = try BucketPath(body.path)
      return BucketReply(try commit(request, bucket: body.bucket_id.text, .makeFolder(path), body: bytes))
    }
  }

  func delete(_ request: BucketRequest) -> any BodyReceiver {
    JSONBody(request, RequestBodies.Deletion.self) { [self] (body, bytes) throws(BucketError) in
      let mutation = Mutation.delete(
        try BucketPath(body.path), isRecursive: body.recursive ?? true, try request.precondition())
      return BucketReply(try commit(request, bucket: body.bucket_id.text, mutation, body: bytes))
    }
  }

  func move(_ request: BucketRequest) -> any BodyReceiver {
    JSONBody(request, RequestBodies.Move.self) { [self] (body, bytes) throws(BucketError) in
      let mutation = Mutation.move(
        from: try BucketPath(body.source_path), to: try BucketPath(body.dest_path), overwrites: body.overwrite ?? false)
      return BucketReply(try commit(request, bucket: body.bucket_id.text, mutation, body: bytes))
    }
  }

  func rename(_ request: BucketRequest) -> any BodyReceiver {
    JSONBody(request, RequestBodies.Rename.self) { [self] (body, bytes) throws(BucketError) in
      let mutation = Mutation.rename(from: try BucketPath(body.old_path), to: try BucketPath(body.new_path))
      return BucketReply(try commit(request, bucket: body.bucket_id.text, mutation, body: bytes))
    }
  }
}
