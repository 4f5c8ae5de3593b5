import ByteSource
import CCurl
import Core

/// The content that the head of an answer to a ranged GET promises, once it was found to hold bytes asked for. It is a
/// value, found by pure functions of the head; `RangeFetch` uses it at once.
struct RangeAnswer: Equatable {
  var validator: Validator
  /// The whole object comes instead of the range (status 200).
  var isWhole: Bool
  /// The place of the body in the object. It begins at the range's start, or before that and then reaches at least to
  /// the range's end.
  var range: ByteRange
}

extension AnswerHead {
  /// Bytes before the range that are read and dropped if a server begins its answer earlier, such as at a block of its
  /// own.
  static let mostSkipped: Int64 = 1 << 20

  /// The validated promise of a complete, final head.
  /// - Parameters:
  ///   - mayBeText: the file itself may be a web page, JSON or XML, so that such a Content-Type says nothing against
  ///     the answer.
  ///   - wallSeconds: seconds since 1970, for a Retry-After that is a date.
  func rangeAnswer(to range: ByteRange, size: Int64, mayBeText: Bool = false, wallSeconds: Int64) throws(TransferError)
    -> RangeAnswer
  {
    switch status {
    case 206:
      if !mayBeText { try refusePages() }
      try refuseParts()
      let found = try answeredRange(to: range, size: size)
      let length = try contentLength()
      if let length, length != found.count {
        throw .wrongAnswer("a length of \(length) for a Content-Range of \(found.count) bytes")
      }
      try refuseEncoding(isOfRightLength: length != nil)
      return RangeAnswer(validator: validator, isWhole: false, range: found)
    case 200:
      if !mayBeText { try refusePages() }
      try refuseParts()
      guard range.start == 0 else {
        throw .wrongAnswer("the server ignored the range and began at the start of the file")
      }
      guard let found = try contentLength() else {
        throw .wrongAnswer("the server ignored the range and named no length")
      }
      guard found == size else { throw .sizeDiffers(expected: size, found: found) }
      try refuseEncoding(isOfRightLength: true)
      return RangeAnswer(validator: validator, isWhole: true, range: ByteRange(0, size))
    case 416:
      if let total = unsatisfiedTotal, total != size { throw .sizeDiffers(expected: size, found: total) }
      throw .status(416, retryAfter: nil)
    default:
      throw .status(status, retryAfter: retryAfter(wallSeconds: wallSeconds))
    }
  }

  /// The ETag and the Last-Modified; what is no plain text is not kept.
  var validator: Validator {
    let etag = self[.etag].flatMap(plain)
    let isStrong = etag.map { $0.utf8.count >= 2 && $0.hasPrefix("\"") && $0.hasSuffix("\"") } ?? false
    return Validator(
      etag: isStrong ? etag : nil, weak: isStrong ? nil : etag, lastModified: self[.lastModified].flatMap(plain))
  }

  /// At most a day, so that no server can silence us for good; nil if the header is missing or neither seconds nor a
  /// date. If there are several, the first counts.
  func retryAfter(wallSeconds: Int64) -> Duration? {
    guard let text = values(.retryAfter).first else { return nil }
    if text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), !text.isEmpty {
      return .seconds(min(86400, decimal(text.utf8) ?? 86400))
    }
    let date = Int64(curl_getdate(text, nil))
    guard date >= 0 else { return nil }
    return .seconds(min(86400, max(0, date - wallSeconds)))
  }

  /// Throws if the body is encoded: identity is asked for, and what comes is stored.
  /// - Parameter isOfRightLength: the answer named its body's length, and it is that of the plain bytes.
  func refuseEncoding(isOfRightLength: Bool) throws(TransferError) {
    let codings = values(.contentEncoding).flatMap { (value: String) -> [Substring] in
      value.lowercased().split(separator: ",")
    }
    for coding in codings.map(withoutBlanks) {
      switch coding {
      // "none" and "binary" are no codings at all, but some servers say so.
      case "", "identity", "none", "binary": break
      // S3 keeps the word of an upload that was framed so, and sends the bytes without frames: frames would make the
      // body longer.
      case "aws-chunked" where isOfRightLength: break
      default: throw .wrongAnswer("the server sent the file compressed or encoded (\(shown(String(coding))))")
      }
    }
  }

  // MARK: Parts

  /// A page or a message comes in place of the file, mostly about an error or a login.
  private func refusePages() throws(TransferError) {
    for type in mediaTypes {
      switch type {
      case "text/html", "application/xhtml+xml":
        throw .wrongAnswer("the server answered with a web page (\(type)), not with the file")
      case "application/json", "text/json", "application/problem+json", "application/xml", "text/xml",
        "application/problem+xml":
        throw .wrongAnswer("the server answered with a message (\(type)), not with the file")
      default: break
      }
    }
  }

  private func refuseParts() throws(TransferError) {
    if let type = mediaTypes.first(where: { $0.hasPrefix("multipart/") }) {
      throw .wrongAnswer("the server answered in several parts (\(shown(type)))")
    }
  }

  /// Without parameters, in lower case.
  private var mediaTypes: [String] {
    values(.contentType).map { text in text.prefix { $0 != ";" }.lowercased().filter { $0 != " " && $0 != "\t" } }
  }

  /// The place of the body of a 206 in the object.
  private func answeredRange(to range: ByteRange, size: Int64) throws(TransferError) -> ByteRange {
    let texts = values(.contentRange)
    guard let text = texts.first else { throw .wrongAnswer("the partial answer has no Content-Range") }
    guard texts.count == 1 else { throw .wrongAnswer("the answer has two content-range headers that differ") }
    guard let (positions, total) = contentRangeParts(text) else { throw .wrongAnswer("the Content-Range is malformed") }
    let ends = positions.split(separator: "-", omittingEmptySubsequences: false).map(withoutBlanks)
    guard ends.count == 2, let first = decimal(ends[0].utf8), let last = decimal(ends[1].utf8), first <= last else {
      throw .wrongAnswer("the Content-Range is malformed")
    }
    // A total that the server does not know is legal; the positions say where the bytes belong.
    if total != "*" {
      guard let total = decimal(total.utf8) else { throw .wrongAnswer("the Content-Range is malformed") }
      guard total == size else { throw .sizeDiffers(expected: size, found: total) }
    }
    let isEarlier = first < range.start && range.start - first <= Self.mostSkipped
    guard first == range.start || isEarlier else {
      throw .wrongAnswer("asked for bytes from \(range.start), got them from \(first)")
    }
    // A part is legal, and the rest is asked for; a part that begins elsewhere too was moved, not cut.
    guard first == range.start || last >= range.end - 1 else {
      throw .wrongAnswer("asked for bytes from \(range.start), got them from \(first) up to \(last)")
    }
    guard last < size else {
      throw .wrongAnswer("the Content-Range goes up to \(last), beyond the file's \(size) bytes")
    }
    return ByteRange(first, last + 1)
  }

  /// Several that are equal, in one header or in more, are one.
  private func contentLength() throws(TransferError) -> Int64? {
    var found: Int64?
    let texts = values(.contentLength).flatMap { (value: String) -> [Substring] in
      value.split(separator: ",", omittingEmptySubsequences: false)
    }
    for text in texts {
      guard let length = decimal(withoutBlanks(text).utf8) else {
        throw .wrongAnswer("the Content-Length is malformed")
      }
      guard found ?? length == length else {
        throw .wrongAnswer("the answer has two content-length headers that differ")
      }
      found = length
    }
    return found
  }

  /// N of `bytes */N`.
  private var unsatisfiedTotal: Int64? {
    guard let text = self[.contentRange], let (positions, total) = contentRangeParts(text), positions == "*" else {
      return nil
    }
    return decimal(total.utf8)
  }

  /// `a-b` and `total` of `bytes a-b/total`; the unit in any case, blanks anywhere between the parts, and `bytes=`,
  /// which some servers write.
  private func contentRangeParts(_ text: String) -> (Substring, Substring)? {
    guard text.prefix(5).lowercased() == "bytes", let next = text.dropFirst(5).first, " \t=".contains(next) else {
      return nil
    }
    let parts = text.dropFirst(6).split(separator: "/", omittingEmptySubsequences: false).map(withoutBlanks)
    return parts.count == 2 ? (parts[0], parts[1]) : nil
  }
}

private func withoutBlanks(_ text: Substring) -> Substring {
  var part = text.drop { $0 == " " || $0 == "\t" }
  while part.last == " " || part.last == "\t" { part.removeLast() }
  return part
}

/// Printable ASCII of a bearable length, else nil.
private func plain(_ text: String) -> String? {
  text.utf8.count <= 1024 && text.utf8.allSatisfy { (0x20...0x7e).contains($0) } ? text : nil
}

/// A server's word as an error may quote it.
private func shown(_ text: String) -> String {
  String(text.unicodeScalars.prefix(40).filter { (0x20...0x7e).contains($0.value) }.map(Character.init))
}
