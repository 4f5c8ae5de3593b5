import Core

/// A name in a bucket, as its bytes: two names are the same if their bytes are, whatever Unicode thinks of them. It is
/// a plain value.
struct BucketName: Hashable, Sendable, Comparable {
  /// Bytes of a name at most, as in the kernel.
  static let longest = 255

  /// Valid UTF-8.
  let bytes: [UInt8]

  init(_ text: some StringProtocol) { bytes = Array(text.utf8) }

  var text: String { String(decoding: bytes, as: UTF8.self) }
  /// For sentences.
  var shown: String { PrintableText.of(text) }

  /// Why a folder may not hold it; nil: it may.
  var fault: String? {
    if bytes.isEmpty { return "the name is empty" }
    if bytes.count > Self.longest { return "a name has more than \(Self.longest) bytes" }
    if bytes == [0x2e] || bytes == [0x2e, 0x2e] { return "`.` and `..` are no names" }
    if bytes.contains(0x2f) { return "the name \(shown) has a slash in it" }
    return bytes.contains(0) ? "a name has a NUL in it" : nil
  }

  static func < (one: BucketName, other: BucketName) -> Bool { one.bytes.lexicographicallyPrecedes(other.bytes) }
}

/// An absolute path in a bucket. It is a plain value, which a request's text is read as; nothing here looks at a
/// bucket.
struct BucketPath: Hashable, Sendable {
  /// Bytes of a path at most, as in the kernel.
  static let longest = 4096
  static let root = BucketPath(names: [])

  let names: [BucketName]

  private init(names: [BucketName]) { self.names = names }

  /// - Parameter text: begins with a slash; slashes at the end and doubled ones count as one.
  /// - Throws: 400.
  init(_ text: String) throws(BucketError) {
    guard text.utf8.first == 0x2f else { throw .invalid("Path must be absolute: \(PrintableText.of(text))") }
    guard text.utf8.count <= Self.longest else {
      throw .invalid("Invalid path: it has more than \(Self.longest) bytes")
    }
    var names: [BucketName] = []
    for part in text.utf8.split(separator: 0x2f) {
      let name = BucketName(Substring(part))
      if let fault = name.fault { throw .invalid("Invalid path: \(fault)") }
      names.append(name)
    }
    self.names = names
  }

  /// The folder of an upload: an empty text is the root, too.
  init(folder text: String) throws(BucketError) { self = try text.isEmpty ? .root : BucketPath(text) }

  var isRoot: Bool { names.isEmpty }
  var name: BucketName { names.last ?? BucketName("") }
  var parent: BucketPath { BucketPath(names: names.dropLast()) }
  var text: String { isRoot ? "/" : names.reduce(into: "") { $0 += "/" + $1.text } }
  var shown: String { PrintableText.of(text) }

  func appending(_ name: BucketName) -> BucketPath { BucketPath(names: names + [name]) }
  /// The path up to that many names.
  func prefix(_ count: Int) -> BucketPath { BucketPath(names: Array(names.prefix(count))) }
  /// Whether the path is the other one or leads into it.
  func isInside(_ other: BucketPath) -> Bool { names.starts(with: other.names) }

  /// The path of a name in this folder.
  /// - Throws: 400.
  func child(_ text: String) throws(BucketError) -> BucketPath {
    let name = BucketName(text)
    if let fault = name.fault { throw .invalid("Invalid file name: \(fault)") }
    let path = appending(name)
    guard path.text.utf8.count <= Self.longest else {
      throw .invalid("Invalid path: it has more than \(Self.longest) bytes")
    }
    return path
  }
}
