/// From a mutation to the answer of its request. It runs on the thread of the commit queue, in its transaction.
extension MutationWriter {
  /// - Returns: the answer; without a new version if nothing had to change.
  mutating func carryOut(_ mutation: Mutation) throws(BucketError) -> MutationAnswer {
    switch mutation {
    // It is no mutation of a bucket that stands; `CommitQueue` makes the row.
    case .create: throw BucketError(500, "a bucket was to be made in a bucket")
    case .put(let put): return try answer(put)
    case .add(let folder, let parts): return try answer(parts, in: folder)
    case .makeFolder(let path):
      try makeFolder(path)
      try finish()
      return MutationAnswer([("path", .text(path.text)), ("link", .link(bucket.version)), height])
    case .delete(let path, let isRecursive, let precondition):
      try delete(path, isRecursive: isRecursive, precondition)
      try finish()
      return MutationAnswer([("path", .text(path.text)), ("new_bucket_link", .text(bucket.link)), height])
    case .move(let source, let target, let overwrites):
      try move(source, to: target, overwrites: overwrites, isFile: false)
      try finish()
      return MutationAnswer([
        ("source_path", .text(source.text)), ("dest_path", .text(target.text)), ("link", .link(bucket.version)), height,
      ])
    case .rename(let source, let target):
      try move(source, to: target, overwrites: false, isFile: true)
      try finish()
      return MutationAnswer([
        ("old_path", .text(source.text)), ("new_path", .text(target.text)), ("link", .link(bucket.version)), height,
      ])
    }
  }

  private var height: (String, JSONText) { ("height", .number(bucket.height)) }

  // MARK: Uploads

  private mutating func answer(_ order: Mutation.Put) throws(BucketError) -> MutationAnswer {
    let old = try file(at: order.path)
    if let base = order.base, old?.blob != base { throw .overtaken }
    guard !order.precondition.holds(for: old?.etag) else { return try store(order, at: order.path) }
    // The version that the upload was made from is gone, but these very bytes are there: no conflict of two contents.
    if order.conflict != .reject, let old, old.blob == order.blob { return answer(order, at: order.path, entry: old) }
    switch order.conflict {
    case .reject: throw .preconditionFailed
    case .overwrite: return try store(order, at: order.path)
    case .file:
      // An edit that arrives after a deletion makes the file again.
      guard old != nil else { return try store(order, at: order.path) }
      return try storeBeside(order)
    }
  }

  private mutating func store(_ order: Mutation.Put, at path: BucketPath) throws(BucketError) -> MutationAnswer {
    try put(path, order.blob, size: order.size)
    try finish()
    return answer(order, at: path, entry: nil)
  }

  /// Stores the bytes as `name@hash8`. Repeated, it finds them there.
  private mutating func storeBeside(_ order: Mutation.Put) throws(BucketError) -> MutationAnswer {
    for digits in [8, 16, 64] {
      let path = order.path.parent.appending(order.path.name.beside(order.blob, digits: digits))
      let entry: BucketEntry?
      do throws(BucketError) {
        entry = try file(at: path)
      } catch {
        guard error.status == 409 else { throw error }
        continue
      }
      if let entry {
        guard entry.blob == order.blob else { continue }
        return answer(order, at: path, entry: entry)
      }
      try noteConflict(order.path, beside: path)
      return try store(order, at: path)
    }
    throw .conflict("No name is free beside \(order.path.shown)")
  }

  /// - Parameter entry: the file that was there already; nil: it was stored now.
  private func answer(_ order: Mutation.Put, at path: BucketPath, entry: BucketEntry?) -> MutationAnswer {
    let link = JSONText.link(BucketLink(codec: .raw, hash: order.blob.hex))
    var members: [(String, JSONText)]
    switch order.answer {
    case .upload:
      members = [
        ("path", .text(path.text)), ("link", link), ("size", .number(order.size)), ("etag", .text(order.blob.hex)),
        ("height", .number(bucket.height)), ("mtime_ns", .number(entry?.modified ?? now)),
      ]
      if path != order.path { members.append(("conflict_path", .text(path.text))) }
    case .update:
      members = [
        ("mount_path", .text(path.text)), ("link", .link(bucket.version)),
        ("mime_type", .text(MimeType.of(path.name))), ("height", .number(bucket.height)),
      ]
    }
    var answer = MutationAnswer(members)
    answer.etag = order.blob.hex
    return answer
  }

  // MARK: Several files

  private mutating func answer(_ parts: [Mutation.Part], in folder: BucketPath) throws(BucketError) -> MutationAnswer {
    var files: [JSONText] = []
    var failures = 0
    for part in parts {
      let failure = store(part)
      if failure != nil { failures += 1 }
      if let failure, failure.status >= 500 { throw failure }
      files.append(
        .object([
          ("mount_path", .text(part.path?.text ?? folder.appending(BucketName(part.name)).text)),
          ("mime_type", .text(MimeType.of(BucketName(part.name)))), ("size", .number(part.size)),
          ("success", .flag(failure == nil)), ("error", failure.map { .text($0.sentence) } ?? .none),
        ]))
    }
    guard failures < parts.count else {
      let reasons = parts.count == 1 ? "" : "All \(parts.count) files failed; the first: "
      throw .invalid("Bad request: \(reasons)\(firstFailure ?? "no file")")
    }
    try finish()
    return MutationAnswer([
      ("bucket_link", .link(bucket.version)), ("files", .list(files)), ("total_files", .number(Int64(parts.count))),
      ("successful_files", .number(Int64(parts.count - failures))), ("failed_files", .number(Int64(failures))), height,
    ])
  }

  private mutating func store(_ part: Mutation.Part) -> BucketError? {
    do throws(BucketError) {
      if let refusal = part.refusal { throw refusal }
      guard let path = part.path, let blob = part.blob else { throw BucketError(500, "a file without bytes") }
      // Looked at before anything is written: a failure of this file may leave nothing behind.
      _ = try file(at: path)
      try put(path, blob, size: part.size)
      return nil
    } catch {
      if firstFailure == nil { firstFailure = error.sentence }
      return error
    }
  }
}

extension MutationAnswer {
  init(_ members: [(String, JSONText)]) { body = JSONText.object(members).bytes }
}

extension BucketName {
  /// The name of a file that lies beside this one because both were changed at once: `notes.txt@a1b2c3d4`. A name that
  /// would be too long loses its end.
  func beside(_ blob: BlobID, digits: Int) -> BucketName {
    let room = Self.longest - digits - 1
    var text = self.text
    while text.utf8.count > room { text.unicodeScalars.removeLast() }
    return BucketName(text + "@" + blob.hex.prefix(digits))
  }
}
