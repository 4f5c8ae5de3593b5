import CHTTPD

/// A request before its body comes: its method and its headers. It is a value, copied out of libmicrohttpd's
/// connection.
struct RequestHead: Sendable, Equatable {
  struct Header: Sendable, Equatable {
    var name: String
    var value: String
  }

  var method: String
  /// The headers as the client sent them, in their order.
  var headers: [Header]

  init(method: String, headers: [Header]) {
    self.method = method
    self.headers = headers
  }

  /// - Parameter connection: its header has been read.
  init(method: String, of connection: OpaquePointer?) {
    self.method = method
    headers = []
    withUnsafeMutablePointer(to: &headers) { list in
      _ = MHD_get_connection_values(
        connection, .HEADER_KIND,
        { @Sendable list, _, name, value in
          guard let list, let name else { return .YES }
          let header = Header(name: String(cString: name), value: value.map { String(cString: $0) } ?? "")
          list.assumingMemoryBound(to: [Header].self).pointee.append(header)
          return .YES
        }, list)
    }
  }

  /// The values of all headers of this name, in any letter case.
  func values(_ name: String) -> [String] {
    let name = name.lowercased()
    return headers.filter { $0.name.lowercased() == name }.map(\.value)
  }

  func value(_ name: String) -> String? { values(name).first }

  /// The values of all cookies of this name: a browser also sends those that other servers of this machine have set.
  func cookies(_ name: String) -> [String] {
    values("Cookie").flatMap { $0.split(separator: ";") }.compactMap { pair in
      let parts = pair.drop { $0 == " " }.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return parts.count == 2 && parts[0] == name ? String(parts[1]) : nil
    }
  }

  /// libmicrohttpd refuses what is no number; a number too large for us is too large.
  var announcedLength: Int { value("Content-Length").map { Int($0) ?? .max } ?? 0 }

  /// Whether a body follows; its length may be unknown.
  var announcesBody: Bool { announcedLength != 0 || !values("Transfer-Encoding").isEmpty }

  /// Whether the body is said to be JSON; nil where nothing is said.
  var saysJSON: Bool? {
    guard let type = value("Content-Type") else { return nil }
    let name = type.prefix { $0 != ";" }
    return name.lowercased().filter { $0 != " " && $0 != "\t" } == "application/json"
  }
}
