import Core

/// Lists, listings, files, versions: requests that change nothing.
extension BucketService {
  func list(_ request: BucketRequest) -> any BodyReceiver {
    JSONBody(request, RequestBodies.List.self) { [self] (body, _) throws(BucketError) in
      let limit = min(max(body.limit ?? 100, 0), 1000)
      let buckets = try opened().buckets(prefix: body.prefix ?? "", limit: Int(limit))
      let list = buckets.map { bucket in
        JSONText.object([
          ("bucket_id", .text(bucket.id)), ("name", .text(bucket.name)), ("link", .link(bucket.version)),
          ("created_at", .text(BucketTime.text(bucket.made))), ("height", .number(bucket.height)),
        ])
      }
      return BucketReply([("buckets", .list(list))])
    }
  }

  func listing(_ request: BucketRequest) -> any BodyReceiver {
    JSONBody(request, RequestBodies.Listing.self) { [self] (body, _) throws(BucketError) in
      let path = try BucketPath(body.path ?? "/")
      let view = try view(body.bucket_id, body.at)
      let folder = try view.entry(path)
      guard folder.isFolder else { throw .conflict("Not a directory: \(path.shown)") }
      let walk = try TreeWalk(view, folder: folder, at: path, isDeep: body.deep ?? false)
      var head: [(String, JSONText)] = [
        ("bucket_id", .text(view.bucket.id)), ("path", .text(path.text)), ("height", .number(view.height)),
        ("link", .link(view.link)),
      ]
      if view.isHead { head.append(("seq", .number(view.bucket.seq))) }
      let id = view.bucket.id
      // The object stays open for the list.
      let start = Array(JSONText.object(head).bytes.dropLast()) + Array(",\"items\":[".utf8)
      let stream = WalkStream(walk, start: start, end: Array("]}".utf8)) { path, entry in
        JSONText.object(entry.json(at: path, in: id)).bytes
      }
      return BucketReply(type: "application/json", body: .stream(stream, count: nil))
    }
  }

  private func view(_ id: RequestBodies.ID, _ at: RequestBodies.At?) throws(BucketError) -> BucketView {
    try BucketView(opened(), bucket: id.text, at: at.map { (at) throws(BucketError) in try .init(at.text) })
  }

  func statPath(_ request: BucketRequest) -> any BodyReceiver {
    JSONBody(request, RequestBodies.Place.self) { [self] (body, _) throws(BucketError) in
      let path = try BucketPath(body.path)
      let view = try view(body.bucket_id, body.at)
      let entry = try view.entry(path)
      return BucketReply(
        entry.json(at: path, in: view.bucket.id) + [
          ("bucket_height", .number(view.height)), ("bucket_link", .link(view.link)),
        ])
    }
  }

  func stat(_ request: BucketRequest) -> any BodyReceiver {
    JSONBody(request, RequestBodies.Bucket.self) { [self] (body, _) throws(BucketError) in
      let bucket = try BucketView(opened(), bucket: body.bucket_id.text).bucket
      let peer: [(String, JSONText)] = [
        ("public_key", .text(nodeID)), ("role", .text("owner")), ("is_self", .flag(true)),
      ]
      return BucketReply([
        ("bucket_id", .text(bucket.id)), ("name", .text(bucket.name)), ("height", .number(bucket.height)),
        ("link", .link(bucket.version)), ("published", .flag(false)), ("peers", .list([.object(peer)])),
        ("seq", .number(bucket.seq)), ("oldest_height", .number(bucket.oldest)),
        ("created_at", .text(BucketTime.text(bucket.made))),
      ])
    }
  }

  func history(_ request: BucketRequest) -> any BodyReceiver {
    JSONBody(request, RequestBodies.History.self) { [self] (body, _) throws(BucketError) in
      let size = min(max(body.page_size ?? 50, 1), 100)
      let page = min(max(body.page ?? 0, 0), Int64.max / 200)
      let view = try BucketView(opened(), bucket: body.bucket_id.text)
      let versions = try view.versions(skipping: page * size, limit: size).map { version in
        JSONText.object([
          ("link_hash", .text(version.link)), ("height", .number(version.height)), ("published", .flag(false)),
          ("created_at", .text(BucketTime.text(version.made))),
        ])
      }
      return BucketReply([("bucket_id", .text(view.bucket.id)), ("entries", .list(versions))])
    }
  }

  func conflicts(_ request: BucketRequest) throws(BucketError) -> any BodyReceiver {
    let id = try request.bucketID()
    return NoBody { [self] () throws(BucketError) in
      let view = try BucketView(opened(), bucket: id)
      let conflicts = try view.conflicts().map { conflict in
        JSONText.object([
          ("path", .text(conflict.path)), ("conflict_path", .text(conflict.other)),
          ("height", .number(conflict.height)), ("origin", .text(conflict.origin)),
          ("created_at", .text(BucketTime.text(conflict.made))),
        ])
      }
      return BucketReply([("bucket_id", .text(id)), ("conflicts", .list(conflicts))])
    }
  }

  // MARK: Files

  /// A file's bytes in JSON.
  func catJSON(_ request: BucketRequest) -> any BodyReceiver {
    JSONBody(request, RequestBodies.Place.self) { [self] (body, _) throws(BucketError) in
      let path = try BucketPath(body.path)
      let (view, entry, file) = try open(path, in: body.bucket_id.text, at: body.at?.text)
      let head: [(String, JSONText)] = [
        ("path", .text(path.text)), ("size", .number(entry.size)), ("mime_type", .text(MimeType.of(path.name))),
        ("etag", entry.etag.map { .text($0) } ?? .none), ("height", .number(view.height)),
      ]
      let start = Array(JSONText.object(head).bytes.dropLast()) + Array(",\"content\":\"".utf8)
      let stream = Base64Stream(file, size: entry.size, start: start, end: Array("\"}".utf8))
      return BucketReply(type: "application/json", body: .stream(stream, count: stream.count))
    }
  }

  /// The file's entry and its bytes. A version that is given up between the two is looked for once more.
  private func open(_ path: BucketPath, in bucket: String, at: String?) throws(BucketError)
    -> (BucketView, BucketEntry, OwnedDescriptor)
  {
    let reference = try at.map { (text) throws(BucketError) in try BucketView.Reference(text) }
    for _ in 0..<4 {
      let view = try BucketView(opened(), bucket: bucket, at: reference)
      let (entry, blob) = try view.file(path)
      if let file = try opened().blobs.open(blob) { return (view, entry, file) }
    }
    throw BucketError(500, "The bytes of \(path.shown) are missing from the bucket store")
  }

  /// A file's bytes as they are, or a range of them.
  func cat(_ request: BucketRequest) throws(BucketError) -> any BodyReceiver {
    let id = try request.bucketID()
    let path = try BucketPath(try request.required("path"))
    let isDownload = try request.flag("download")
    return NoBody { [self] () throws(BucketError) in
      let (view, entry, file) = try open(path, in: id, at: request.parameter("at"))
      let etag = "\"\(entry.etag ?? "")\""
      var headers = [
        ("ETag", etag), ("Accept-Ranges", "bytes"), ("Last-Modified", BucketTime.header(entry.modified)),
        ("Cache-Control", "no-cache"), ("X-Bucket-Height", String(view.height)),
      ]
      if let known = request.header("if-none-match"),
        !Precondition.matchesNone(try Precondition.list(known)).holds(for: entry.etag)
      {
        return BucketReply(notModified: headers)
      }
      if let wanted = request.header("if-match"),
        !Precondition.matches(try Precondition.list(wanted)).holds(for: entry.etag)
      {
        throw .preconditionFailed
      }
      headers += [
        ("Content-Disposition", Self.disposition(path.name, isDownload: isDownload)),
        // A stored file is no page of ours.
        ("X-Content-Type-Options", "nosniff"), ("Content-Security-Policy", "sandbox"),
      ]
      let isSame = request.header("if-range").map { $0 == etag } ?? true
      switch isSame ? FileRange(request.header("range"), size: entry.size) : .whole {
      case .whole:
        return BucketReply(
          type: MimeType.of(path.name), headers: headers, body: .file(file, ByteRange(0, entry.size)))
      case .part(let range):
        headers.append(("Content-Range", "bytes \(range.start)-\(range.end - 1)/\(entry.size)"))
        return BucketReply(status: 206, type: MimeType.of(path.name), headers: headers, body: .file(file, range))
      case .unsatisfiable:
        var reply = BucketReply(BucketError(416, "The file has \(entry.size) bytes"))
        reply.add(("Content-Range", "bytes */\(entry.size)"))
        reply.add(("ETag", etag))
        return reply
      }
    }
  }

  private static func disposition(_ name: BucketName, isDownload: Bool) -> String {
    let plain = name.bytes.map { (0x20..<0x7f).contains($0) && $0 != 0x22 && $0 != 0x5c ? $0 : 0x5f }
    return "\(isDownload ? "attachment" : "inline"); filename=\"\(String(decoding: plain, as: UTF8.self))\"; "
      + "filename*=UTF-8''\(PercentEncoding.encode(name.text))"
  }
}
