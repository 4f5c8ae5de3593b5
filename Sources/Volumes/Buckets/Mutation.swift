/// A change of one bucket, with checked values: the work of one request, one transaction and one version. It is a plain
/// value; `MutationWriter` carries it out.
enum Mutation: Sendable {
  /// A file that replaces the one of that path, or makes it with the folders that lead to it.
  struct Put: Sendable {
    var path: BucketPath
    var blob: BlobID
    var size: Int64
    var precondition = Precondition.none
    var conflict = ConflictPolicy.reject
    /// The version that the bytes were made from, by a request that looks again if there is another one.
    var base: BlobID?
    /// The shape of the answer.
    var answer = Answer.upload

    enum Answer: Sendable { case upload, update }
  }

  /// The files of one multipart request, and those that were refused before.
  struct Part: Sendable {
    var path: BucketPath?
    /// The client's name of it.
    var name: String
    var blob: BlobID?
    var size: Int64
    var refusal: BucketError?
  }

  case create(name: String)
  case put(Put)
  case add(folder: BucketPath, [Part])
  case makeFolder(BucketPath)
  case delete(BucketPath, isRecursive: Bool, Precondition)
  case move(from: BucketPath, to: BucketPath, overwrites: Bool)
  /// A file alone, as the endpoint `rename` moves it.
  case rename(from: BucketPath, to: BucketPath)
}

/// The answer to a mutation that was carried out.
struct MutationAnswer: Sendable, Equatable {
  var status = 200
  /// JSON.
  var body: [UInt8]
  /// A file's, for the header of that name.
  var etag: String?
}

/// The state that a request wants a file to be in (RFC 9110, section 13). It is a plain value.
enum Precondition: Sendable, Equatable {
  case none
  /// If-Match; an empty list is `*`: it has to exist.
  case matches([String])
  /// If-None-Match; an empty list is `*`: it may not exist.
  case matchesNone([String])

  /// - Parameter etag: nil: there is no such file.
  func holds(for etag: String?) -> Bool {
    switch self {
    case .none: true
    case .matches(let etags): etag.map { etags.isEmpty || etags.contains($0) } ?? false
    case .matchesNone(let etags): etag.map { !etags.isEmpty && !etags.contains($0) } ?? true
    }
  }

  /// - Throws: 400, for both headers at once and for lists that are none.
  init(ifMatch: String?, ifNoneMatch: String?) throws(BucketError) {
    switch (ifMatch, ifNoneMatch) {
    case (nil, nil): self = .none
    case (let text?, nil): self = .matches(try Self.list(text))
    case (nil, let text?): self = .matchesNone(try Self.list(text))
    default: throw .invalid("Bad request: If-Match and If-None-Match exclude each other")
    }
  }

  /// The bare ETags of a header; quotes may be missing, and a weak one is compared as a strong one.
  static func list(_ text: String) throws(BucketError) -> [String] {
    let parts = text.split(separator: ",").map { part in
      let front = part.drop { $0 == " " || $0 == "\t" }
      let end = front.lastIndex { $0 != " " && $0 != "\t" }.map(front.index(after:)) ?? front.startIndex
      return String(front[..<end])
    }
    if parts == ["*"] { return [] }
    let etags = parts.filter { !$0.isEmpty }.map { part in
      let strong = part.hasPrefix("W/") ? part.dropFirst(2) : part[...]
      let isQuoted = strong.count >= 2 && strong.hasPrefix("\"") && strong.hasSuffix("\"")
      return String(isQuoted ? strong.dropFirst().dropLast() : strong)
    }
    guard !etags.isEmpty else { throw .invalid("Bad request: an empty list of ETags") }
    return etags
  }
}

/// The outcome for a file that was changed since the version that an upload names.
enum ConflictPolicy: String, Sendable, CaseIterable {
  /// 412, and nothing is stored.
  case reject
  /// The bytes are stored beside the file, as `name@hash8`.
  case file = "conflict_file"
  /// The bytes replace the file.
  case overwrite = "last_write_wins"
}

/// Something that happened in a bucket, as its followers are told.
package struct BucketEvent: Sendable, Equatable {
  package enum Kind: String, Sendable { case add, remove, mkdir, mv }

  /// Rises by one with each event of the bucket.
  package var seq: Int64
  /// The version that it is of.
  package var height: Int64
  package var kind: Kind
  package var path: String
  /// The old path, if the kind is `mv`.
  package var source: String?
  /// The ETag, if it is a file.
  package var etag: String?
  package var isFolder: Bool
  /// The client that did it, as it calls itself; empty if it does not.
  package var origin: String
}
