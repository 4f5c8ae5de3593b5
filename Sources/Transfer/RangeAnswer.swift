import CCurl
import Core

/// What the head of an answer to a ranged GET promises, once it was found to be the bytes asked for.
struct RangeAnswer: Equatable {
  var validator: Validator
  /// The whole object comes instead of the range (status 200).
  var isWhole: Bool
  /// Where the promised bytes end.
  var end: Int64
}

extension AnswerHead {
  /// The validated promise of a complete, final head.
  /// - Parameter wallSeconds: seconds since 1970, for a Retry-After that is a date.
  func rangeAnswer(to range: ByteRange, size: Int64, wallSeconds: Int64) throws(TransferError) -> RangeAnswer {
    switch status {
    case 206:
      try refuseOtherContent()
      try checkContentRange(range, size: size)
      try checkContentLength(range.count)
      return RangeAnswer(validator: validator, isWhole: false, end: range.end)
    case 200:
      try refuseOtherContent()
      guard range.start == 0 else { throw .wrongAnswer("the server ignored the range and began at the start of the file") }
      guard let found = try contentLength() else { throw .wrongAnswer("the server ignored the range and named no length") }
      guard found == size else { throw .sizeDiffers(expected: size, found: found) }
      return RangeAnswer(validator: validator, isWhole: true, end: size)
    case 416:
      if let total = unsatisfiedTotal, total != size { throw .sizeDiffers(expected: size, found: total) }
      throw .status(416, retryAfter: nil)
    default:
      throw .status(status, retryAfter: retryAfter(wallSeconds: wallSeconds))
    }
  }

  /// The strong ETag and the Last-Modified; what is no plain text is not kept.
  var validator: Validator {
    let etag = self[.etag].flatMap { $0.utf8.count >= 2 && $0.hasPrefix("\"") && $0.hasSuffix("\"") ? plain($0) : nil }
    return Validator(etag: etag, lastModified: self[.lastModified].flatMap(plain))
  }

  /// At most a day, so that no server can silence us for good; nil where the header is missing or neither seconds nor a date.
  func retryAfter(wallSeconds: Int64) -> Duration? {
    guard let text = self[.retryAfter] else { return nil }
    if text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), !text.isEmpty {
      return .seconds(min(86400, decimal(text.utf8) ?? 86400))
    }
    let date = Int64(curl_getdate(text, nil))
    guard date >= 0 else { return nil }
    return .seconds(min(86400, max(0, date - wallSeconds)))
  }

  /// Throws where the body is encoded: we ask for identity and store what comes.
  func refuseEncoding() throws(TransferError) {
    let encoding = (self[.contentEncoding] ?? "").lowercased()
    guard encoding.isEmpty || encoding == "identity" else { throw .wrongAnswer("the server sent the file compressed (\(shown(encoding)))") }
  }

  // MARK: Parts

  private func refuseOtherContent() throws(TransferError) {
    try refuseEncoding()
    let type = (self[.contentType] ?? "").prefix { $0 != ";" }.lowercased().filter { $0 != " " && $0 != "\t" }
    switch type {
    case "text/html", "application/xhtml+xml":
      throw .wrongAnswer("the server answered with a web page (\(type)), not with the file")
    case "application/json", "text/json", "application/problem+json", "application/xml", "text/xml", "application/problem+xml":
      throw .wrongAnswer("the server answered with a message (\(type)), not with the file")
    case _ where type.hasPrefix("multipart/"):
      throw .wrongAnswer("the server answered in several parts (\(shown(type)))")
    default: break
    }
  }

  private func checkContentRange(_ range: ByteRange, size: Int64) throws(TransferError) {
    guard let text = self[.contentRange] else { throw .wrongAnswer("the partial answer has no Content-Range") }
    guard let (positions, totalText) = contentRangeParts(text) else { throw .wrongAnswer("the Content-Range is malformed") }
    guard totalText != "*" else { throw .wrongAnswer("the Content-Range does not say how long the file is") }
    guard let total = decimal(totalText.utf8) else { throw .wrongAnswer("the Content-Range is malformed") }
    let ends = positions.split(separator: "-", omittingEmptySubsequences: false)
    guard ends.count == 2, let first = decimal(ends[0].utf8), let last = decimal(ends[1].utf8) else {
      throw .wrongAnswer("the Content-Range is malformed")
    }
    guard total == size else { throw .sizeDiffers(expected: size, found: total) }
    guard first == range.start else { throw .wrongAnswer("asked for bytes from \(range.start), got them from \(first)") }
    guard last == range.end - 1 else { throw .wrongAnswer("asked for bytes up to \(range.end - 1), got them up to \(last)") }
  }

  private func checkContentLength(_ expected: Int64) throws(TransferError) {
    guard let found = try contentLength() else { return }
    guard found == expected else { throw .wrongAnswer("a length of \(found) for \(expected) bytes asked for") }
  }

  private func contentLength() throws(TransferError) -> Int64? {
    guard let text = self[.contentLength] else { return nil }
    guard let value = decimal(text.utf8) else { throw .wrongAnswer("the Content-Length is malformed") }
    return value
  }

  /// N of `bytes */N`.
  private var unsatisfiedTotal: Int64? {
    guard let text = self[.contentRange], let (positions, total) = contentRangeParts(text), positions == "*" else { return nil }
    return decimal(total.utf8)
  }

  /// `a-b` and `total` of `bytes a-b/total`.
  private func contentRangeParts(_ text: String) -> (Substring, Substring)? {
    guard text.prefix(6).lowercased() == "bytes " else { return nil }
    let parts = text.dropFirst(6).split(separator: "/", omittingEmptySubsequences: false)
    return parts.count == 2 ? (parts[0], parts[1]) : nil
  }
}

/// Printable ASCII of a bearable length, else nil.
private func plain(_ text: String) -> String? {
  text.utf8.count <= 1024 && text.utf8.allSatisfy { (0x20...0x7e).contains($0) } ? text : nil
}

/// A server's word as an error may quote it.
private func shown(_ text: String) -> String {
  String(text.unicodeScalars.prefix(40).filter { (0x20...0x7e).contains($0.value) }.map(Character.init))
}
