import Core

/// The header Range about a file of a known size (RFC 9110, section 14). It is a pure value.
enum FileRange: Equatable, Sendable {
  /// No header, one that is not understood, or several ranges, which a server may ignore.
  case whole
  case part(ByteRange)
  case unsatisfiable

  init(_ text: String?, size: Int64) { self = text.flatMap { Self.parse($0, size: size) } ?? .whole }

  private static func parse(_ text: String, size: Int64) -> FileRange? {
    let unit = "bytes="
    guard text.lowercased().hasPrefix(unit) else { return nil }
    let spec = text.dropFirst(unit.count).filter { $0 != " " && $0 != "\t" }
    guard let dash = spec.firstIndex(of: "-"), !spec.contains(",") else { return nil }
    let (first, last) = (spec[..<dash], spec[spec.index(after: dash)...])
    guard (first + last).allSatisfy({ $0.isASCII && $0.isNumber }) else { return nil }
    if first.isEmpty {
      guard !last.isEmpty else { return nil }
      // A number too large for us is larger than any file.
      let count = Int64(last) ?? .max
      return count == 0 || size == 0 ? .unsatisfiable : .part(ByteRange(max(0, size - count), size))
    }
    let start = Int64(first) ?? .max
    let end = last.isEmpty ? .max : Int64(last) ?? .max
    guard end >= start else { return nil }
    guard start < size else { return .unsatisfiable }
    return .part(ByteRange(start, end >= size ? size : end + 1))
  }
}
