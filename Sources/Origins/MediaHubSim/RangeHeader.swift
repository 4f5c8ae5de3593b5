import Core

/// The range that a request asks of a file of a known size, RFC 9110 section 14. It is a pure value.
enum RangeHeader: Equatable {
  /// No header, one that is not understood, or several ranges (which a server may ignore).
  case whole
  case part(ByteRange)
  case unsatisfiable

  init(_ text: String?, size: Int64) {
    self = text.flatMap { Self.parse($0, size: size) } ?? .whole
  }

  private static func parse(_ text: String, size: Int64) -> RangeHeader? {
    guard text.lowercased().hasPrefix("bytes="), !text.contains(",") else { return nil }
    let spec = text.dropFirst("bytes=".count).filter { $0 != " " }
    guard let dash = spec.firstIndex(of: "-") else { return nil }
    let (first, last) = (spec[..<dash], spec[spec.index(after: dash)...])
    if first.isEmpty {
      guard let count = Int64(last), count >= 0 else { return nil }
      return count == 0 || size == 0 ? .unsatisfiable : .part(ByteRange(max(0, size - count), size))
    }
    guard let start = Int64(first), start >= 0, let inclusive = last.isEmpty ? .max : Int64(last), inclusive >= start
    else { return nil }
    guard start < size else { return .unsatisfiable }
    return .part(ByteRange(start, inclusive >= size ? size : inclusive + 1))
  }
}
