/// The head of an HTTP answer as it arrives, line by line: the status and the few fields that say what the body is worth.
///
/// A pure value. Interim heads (1xx) and the heads of redirects come through the same one: each status line begins anew.
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
  private var fields: [Field: String] = [:]
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

  subscript(field: Field) -> String? { fields[field] }

  /// 100 to 199: the real answer is still to come.
  var isInterim: Bool { (100..<200).contains(status) }

  /// As libcurl decides it: any 3xx that names a place to go to.
  var isRedirect: Bool { (300..<400).contains(status) && !(self[.location] ?? "").isEmpty }

  // MARK: Parsing

  private mutating func begin(_ line: some BidirectionalCollection<UInt8>) throws(TransferError) {
    let words = line.split(separator: UInt8(ascii: " "), maxSplits: 2)
    guard words.count >= 2, words[0].starts(with: "HTTP/".utf8), words[1].count == 3, let code = decimal(words[1]), code >= 100 else {
      throw .wrongAnswer("the server's status line is not HTTP")
    }
    status = Int(code)
    isComplete = false
    fields = [:]
  }

  private mutating func keep(_ line: some BidirectionalCollection<UInt8>) throws(TransferError) {
    // A folded line (obsolete since 2014) could change the meaning of the one before.
    guard let first = line.first, !isBlank(first), let colon = line.firstIndex(of: UInt8(ascii: ":")) else {
      throw .wrongAnswer("a line of the answer's head is malformed")
    }
    let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
    guard let field = Field(rawValue: name) else { return }
    var value = line[line.index(after: colon)...]
    value = value.drop(while: isBlank)[...]
    while let last = value.last, isBlank(last) { value.removeLast() }
    let text = String(decoding: value, as: UTF8.self)
    // Two that differ: libcurl may go by one and we by the other.
    if let earlier = fields[field], earlier != text { throw .wrongAnswer("the answer has two \(name) headers that differ") }
    fields[field] = text
  }
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
