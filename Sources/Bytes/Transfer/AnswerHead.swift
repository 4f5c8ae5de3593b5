/// The head of an HTTP answer as it arrives, line by line: the status and the few fields that say which bytes the body
/// holds.
///
/// A pure value. Interim heads (1xx) and the heads of redirects come through the same one: each status line begins
/// anew. It is read as leniently as it can be without mistaking one place of the file for another; docs/ORIGINS.md has
/// the table. Each exchange has its own.
struct AnswerHead: Equatable {
  enum Field: String, CaseIterable {
    case contentEncoding = "content-encoding"
    case contentLength = "content-length"
    case contentRange = "content-range"
    case contentType = "content-type"
    case etag = "etag"
    case lastModified = "last-modified"
    case location = "location"
    case retryAfter = "retry-after"
  }

  /// All heads of one exchange together; libcurl 7.88 bounds a line, but not how many there are.
  static let longest = 256 << 10

  private(set) var status = 0
  /// The blank line came.
  private(set) var isComplete = false
  /// Each field's values in the order they came, without repetitions.
  private var fields: [Field: [String]] = [:]
  /// The field of the last line, which a folded line continues; nil if that was a field that is not kept.
  private var last: Field?
  private var count = 0

  /// Takes one line, with or without its line end.
  mutating func take(_ line: some BidirectionalCollection<UInt8>) throws(TransferError) {
    count += line.count
    guard count <= Self.longest else { throw .wrongAnswer("the answer's head is longer than 256 KiB") }
    var end = line.endIndex
    while end > line.startIndex, isLineEnd(line[line.index(before: end)]) { end = line.index(before: end) }
    let line = line[..<end]
    if status == 0 || isComplete {
      try begin(line)
    } else if line.isEmpty {
      isComplete = true
    } else {
      try keep(line)
    }
  }

  /// Nil if the field is missing, and if it came several times with values that differ.
  subscript(field: Field) -> String? { values(field).count == 1 ? fields[field]?.first : nil }

  /// The different values that came, in their order.
  func values(_ field: Field) -> [String] { fields[field] ?? [] }

  /// 100 to 199: the real answer is still to come.
  var isInterim: Bool { (100..<200).contains(status) }

  /// Whether libcurl follows it: any 3xx that names a place to go to.
  var isRedirect: Bool { (300..<400).contains(status) && !(self[.location] ?? "").isEmpty }

  // MARK: Parsing

  private mutating func begin(_ line: some BidirectionalCollection<UInt8>) throws(TransferError) {
    let words = line.split(separator: UInt8(ascii: " "), maxSplits: 2)
    guard words.count >= 2, words[0].starts(with: "HTTP/".utf8), words[1].count == 3, let code = decimal(words[1]),
      code >= 100
    else {
      throw .wrongAnswer("the server's status line is not HTTP")
    }
    status = Int(code)
    isComplete = false
    fields = [:]
    last = nil
  }

  private mutating func keep(_ line: some BidirectionalCollection<UInt8>) throws(TransferError) {
    guard let first = line.first else { return }
    if isBlank(first) { return try fold(line) }
    // A line without a colon says nothing about the body.
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return last = nil }
    let name = String(decoding: trimmed(line[..<colon]), as: UTF8.self).lowercased()
    last = Field(rawValue: name)
    guard let field = last else { return }
    let text = String(decoding: trimmed(line[line.index(after: colon)...]), as: UTF8.self)
    if !values(field).contains(text) { fields[field, default: []].append(text) }
    // libcurl would follow one of them, and the other would be judged.
    if field == .location, values(field).count > 1 {
      throw .wrongAnswer("the answer has two location headers that differ")
    }
  }

  /// A line that continues the one before (obsolete since 2014). libcurl goes by the first line alone, so a field that
  /// libcurl reads must have none.
  private mutating func fold(_ line: some BidirectionalCollection<UInt8>) throws(TransferError) {
    guard let field = last else { return }
    guard field != .contentLength, field != .contentRange, field != .location else {
      throw .wrongAnswer("the answer's \(field.rawValue) header goes on in a second line")
    }
    let more = String(decoding: trimmed(line), as: UTF8.self)
    if let earlier = fields[field]?.popLast(), !more.isEmpty {
      fields[field]?.append(earlier.isEmpty ? more : earlier + " " + more)
    }
  }
}

private func trimmed<Line: BidirectionalCollection<UInt8>>(_ line: Line) -> Line.SubSequence {
  var part = line[...].drop(while: isBlank)
  while let last = part.last, isBlank(last) { part.removeLast() }
  return part
}

private func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
private func isLineEnd(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "\r") || byte == UInt8(ascii: "\n") }

/// Digits only, nothing before or after; nil for an empty text and for more than an `Int64` holds.
func decimal(_ text: some Collection<UInt8>) -> Int64? {
  guard !text.isEmpty else { return nil }
  var value: Int64 = 0
  for byte in text {
    guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
    let (tens, overflowed) = value.multipliedReportingOverflow(by: 10)
    let (sum, overflowedToo) = tens.addingReportingOverflow(Int64(byte - UInt8(ascii: "0")))
    guard !overflowed, !overflowedToo else { return nil }
    value = sum
  }
  return value
}
