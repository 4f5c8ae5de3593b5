/// A file or folder of a version of a bucket. It is a plain value, read from a row of `entries`.
struct BucketEntry: Sendable, Equatable {
  var row: Int64
  var name: BucketName
  var node: Int64
  var size: Int64
  /// Nanoseconds since 1970.
  var modified: Int64
  /// The content of a file; nil: a folder.
  var blob: BlobID?
  /// The height of the version that made it.
  var since: Int64

  var isFolder: Bool { blob == nil }
  /// Bare, without the quotes that headers have.
  var etag: String? { blob?.hex }

  static let columns = "row, name, node, size, modified, blob, since"

  init(_ row: Database.Row) {
    self.row = row.integer(0)
    name = BucketName(row.text(1))
    node = row.integer(2)
    size = row.integer(3)
    modified = row.integer(4)
    blob = row.isNone(5) ? nil : BlobID(hex: row.text(5))
    since = row.integer(6)
  }

  /// The root folder, which has no row.
  init(rootOf bucket: BucketRow) {
    (row, name, node, size, modified, since) = (0, BucketName(""), 0, 0, bucket.modified, 0)
  }

  /// - Parameters:
  ///   - path: its own.
  ///   - bucket: the bucket's id.
  func json(at path: BucketPath, in bucket: String) -> [(String, JSONText)] {
    [
      ("path", .text(path.text)), ("name", .text(name.text)), ("link", .link(link(in: bucket))),
      ("is_dir", .flag(isFolder)), ("mime_type", .text(isFolder ? "inode/directory" : MimeType.of(name))),
      ("size", .number(size)), ("mtime_ns", .number(modified)), ("etag", etag.map { .text($0) } ?? .none),
      ("height", .number(since)),
    ]
  }

  /// A file's is its content's; a folder's names the folder, whatever is in it.
  private func link(in bucket: String) -> BucketLink {
    if let blob { return BucketLink(codec: .raw, hash: blob.hex) }
    return BucketLink(codec: .version, hash: ContentHash.of("folder \(bucket) \(node)").hex)
  }
}

/// A content id as the API shows it: `{"codec":85,"hash":"<64 hex digits>"}`. It is opaque to clients.
struct BucketLink: Sendable, Equatable {
  enum Codec: Int64, Sendable {
    /// The bytes of a file.
    case raw = 85
    /// A version of a bucket, or a folder.
    case version = 113
  }

  var codec: Codec
  var hash: String
}

/// A row of `buckets`.
struct BucketRow: Sendable, Equatable {
  var number: Int64
  /// A UUID.
  var id: String
  var name: String
  var made: Int64
  var height: Int64
  /// The lowest height that can still be read.
  var oldest: Int64
  /// The hash of the version at `height`.
  var link: String
  /// The number of the last operation.
  var seq: Int64
  /// When the entries of the root changed last.
  var modified: Int64

  static let columns = "number, id, name, made, height, oldest, link, seq, modified"

  init(_ row: Database.Row) {
    (number, id, name, made) = (row.integer(0), row.text(1), row.text(2), row.integer(3))
    (height, oldest, link) = (row.integer(4), row.integer(5), row.text(6))
    (seq, modified) = (row.integer(7), row.integer(8))
  }

  var version: BucketLink { BucketLink(codec: .version, hash: link) }
}
