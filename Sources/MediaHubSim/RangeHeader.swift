import Core

/// What a request asked of a file of a known size, RFC 9110 section 14.
enum RangeHeader: Equatable {
  /// No header, one that is not understood, or several ranges (which a server may ignore).
  case whole
  case part(ByteRange)
  case unsatisfiable

  init(_ text: String?, size: Int64) {
    guard let text, text.lowercased().hasPrefix("bytes="), !text.contains(",") else {
      self = .whole
      return
    }
    let spec = text.dropFirst("bytes=".count).filter { $0 != " " }
    guard let dash = spec.firstIndex(of: "-") else {
      self = .whole
      return
    }
    let (first, last) = (spec[..<dash], spec[spec.index(after: dash)...])
    if first.isEmpty {
      guard let count = Int64(last), count >= 0 else {
        self = .whole
        return
      }
      self = count == 0 || size == 0 ? .unsatisfiable : .part(ByteRange(max(0, size - count), size))
      return
    }
    guard let start = Int64(first), start >= 0, last.isEmpty || Int64(last) != nil else {
      self = .whole
      return
    }
    let end = last.isEmpty ? size : (Int64(last) ?? 0).addingReportingOverflow(1).partialValue
    guard start < end || last.isEmpty else {
      self = .whole
      return
    }
    self = start < size ? .part(ByteRange(start, min(end < 0 ? size : end, size))) : .unsatisfiable
  }
}
