import CHTTPD
import Core
import Glibc

/// A request before its body comes: method, path, query and headers, checked for form. It is a value of the
/// connection's thread, copied out of libmicrohttpd.
struct BucketRequest {
  let method: String
  /// Path and query as they came.
  let target: String
  /// The same without the query.
  let rawPath: String
  /// Decoded, without the empty segment at the end of a trailing slash.
  let path: [String]
  private let query: [String: String]
  private let headers: [(name: String, value: String)]

  /// - Parameters:
  ///   - method: HEAD is answered as GET; libmicrohttpd leaves out the body.
  ///   - target: as it came; nil for bytes that are no UTF-8.
  /// - Throws: 400.
  init(method: String, target: String?, connection: OpaquePointer?) throws(BucketError) {
    self.method = method == "HEAD" ? "GET" : method
    guard let target, target.utf8.first == 0x2f else {
      throw .invalid("Bad request: the target is no path in UTF-8")
    }
    self.target = target
    let halves = target.utf8.split(separator: 0x3f, maxSplits: 1, omittingEmptySubsequences: false)
    rawPath = String(Substring(halves[0]))
    var path: [String] = []
    for segment in halves[0].split(separator: 0x2f, omittingEmptySubsequences: true) {
      path.append(try Self.decode(segment, isForm: false))
    }
    self.path = path
    var query: [String: String] = [:]
    for pair in halves.count == 2 ? halves[1].split(separator: 0x26) : [] {
      let parts = pair.split(separator: 0x3d, maxSplits: 1, omittingEmptySubsequences: false)
      let name = try Self.decode(parts[0], isForm: true)
      guard query.updateValue(parts.count == 2 ? try Self.decode(parts[1], isForm: true) : "", forKey: name) == nil
      else { throw .invalid("Bad query: \(PrintableText.of(name)) is given twice") }
    }
    self.query = query
    headers = Self.headers(of: connection)
  }

  private static func decode(_ text: Substring.UTF8View, isForm: Bool) throws(BucketError) -> String {
    guard let bytes = PercentEncoding.decode(text, isForm: isForm) else {
      throw .invalid("Bad request: a percent sign is not followed by two hex digits")
    }
    guard !bytes.contains(0), let decoded = String(validating: bytes, as: UTF8.self) else {
      throw .invalid("Bad request: the target is not UTF-8 text")
    }
    return decoded
  }

  private static func headers(of connection: OpaquePointer?) -> [(name: String, value: String)] {
    var headers: [(name: String, value: String)] = []
    withUnsafeMutablePointer(to: &headers) { list in
      _ = MHD_get_connection_values(
        connection, .HEADER_KIND,
        { @Sendable list, _, name, value in
          guard let list, let name else { return .YES }
          list.assumingMemoryBound(to: [(name: String, value: String)].self).pointee.append(
            (String(cString: name).lowercased(), value.map { String(cString: $0) } ?? ""))
          return .YES
        }, list)
    }
    return headers
  }

  // MARK: Values

  /// All values of a header joined as a list.
  func header(_ name: String) -> String? {
    let values = headers.filter { $0.name == name.lowercased() }.map(\.value)
    return values.isEmpty ? nil : values.joined(separator: ", ")
  }

  func values(_ name: String) -> [String] { headers.filter { $0.name == name.lowercased() }.map(\.value) }

  /// A value too large for us is too large.
  var announcedLength: Int64 { header("content-length").map { Int64($0) ?? .max } ?? 0 }

  func parameter(_ name: String) -> String? { query[name] }

  func required(_ name: String) throws(BucketError) -> String {
    guard let value = query[name] else { throw .invalid("Bad query: missing field `\(name)`") }
    return value
  }

  func number(_ name: String, in range: ClosedRange<Int64>) throws(BucketError) -> Int64? {
    guard let text = query[name] else { return nil }
    guard let number = Int64(text), range.contains(number) else {
      throw .invalid("Bad query: \(name) has to be a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  func flag(_ name: String) throws(BucketError) -> Bool {
    switch query[name] {
    case nil, "false"?, "0"?: return false
    case "true"?, "1"?, ""?: return true
    default: throw .invalid("Bad query: \(name) has to be true or false")
    }
  }

  /// The bucket that the query names.
  func bucketID() throws(BucketError) -> String {
    guard let id = BucketID.parse(try required("bucket_id")) else {
      throw .invalid("Bad query: bucket_id is no UUID")
    }
    return id
  }

  /// The media type of the body without its parameters.
  var contentType: String {
    let type = (header("content-type") ?? "").prefix { $0 != ";" }.lowercased()
    return type.filter { $0 != " " && $0 != "\t" }
  }

  /// The client as it calls itself in `X-Client-Id`.
  func origin() throws(BucketError) -> String {
    let origin = header("x-client-id") ?? ""
    guard origin.utf8.count <= 128, !origin.unicodeScalars.contains(where: PrintableText.steers) else {
      throw .invalid("Bad request: X-Client-Id takes at most 128 printable characters")
    }
    return origin
  }

  func idempotencyKey() throws(BucketError) -> String? {
    guard let key = header("idempotency-key") else { return nil }
    guard (1...255).contains(key.utf8.count) else {
      throw .invalid("Bad request: an Idempotency-Key has 1 to 255 bytes")
    }
    return key
  }

  func precondition() throws(BucketError) -> Precondition {
    try Precondition(ifMatch: header("if-match"), ifNoneMatch: header("if-none-match"))
  }
}
