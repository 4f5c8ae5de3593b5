import Core

/// The storage's answer about one file: right to begin with, then bent by a fault. It is a value of one request, on the
/// connection's thread.
struct StorageAnswer {
  let file: CatalogFile
  var content: any Content
  var contentType: String
  var asked: RangeHeader
  var rate: Int64 = 0
  var ending: (after: Int64, how: BodyStream.Ending)?
  var bodyLimit: Int64?
  var excess: (bytes: Int64, way: Fault.Excess)?
  var startError: Int64 = 0
  var totalError: Int64 = 0
  var etagSuffix = ""
  var encoding: String?
  /// A header line that is added, or put in the place of those of its name.
  var odd: (name: String, value: String, isInstead: Bool)?
  private let version: Int
  private let tag: String
  private let validators: Behaviour.Validators
  private let hasDate: Bool
  private let dateChanges: Bool
  private let hasRanges: Bool
  /// This answer's number among all answers of the storage.
  private let number: Int

  init(_ hub: Hub, file: CatalogFile, tag: String, asked: RangeHeader) {
    (self.file, self.tag, self.asked) = (file, tag, asked)
    let hasRanges: Bool
    (version, validators, hasDate, dateChanges, number, hasRanges) = hub.state.withLock { state in
      state.answers += 1
      let settings = state.settings
      return (
        state.versions[file.id] ?? 1, settings.etag, settings.lastModified, settings.dateChanges, state.answers,
        settings.ranges
      )
    }
    if !hasRanges { self.asked = .whole }
    self.hasRanges = hasRanges
    content = file.content(tag: tag, version: version)
    // The storage knows a plain media type; the caps-like tail is the API's.
    contentType = String(file.mimeType.prefix { $0 != "," })
  }

  /// Stable for a file, a recipient and a version, whatever the link.
  private var etag: String {
    let edge =
      switch validators {
      case .edges: "-\(number % 2)"
      case .erratic: "-\(number)"
      case .strong, .weak, .none: ""
      }
    let strong = "\"\(StableHash.hex(file.id, tag, "\(version)"))\(edge)\(etagSuffix)\""
    return validators == .weak ? "W/" + strong : strong
  }

  /// A minute later with each version.
  private var modified: String { URLText.date(seconds: 1_750_000_000 + Int64(dateChanges ? version : 1) * 60) }

  /// RFC 9110 section 13.1.5: a weak validator never holds.
  private func holds(_ condition: String) -> Bool {
    if condition.hasPrefix("\"") {
      return validators != .weak && validators != .none && (condition == etag || !etagSuffix.isEmpty)
    }
    return hasDate && condition == modified
  }

  /// Another range than was asked for, which its Content-Range tells: so many bytes more on either side, or fewer.
  mutating func widen(before: Int64, behind: (ByteRange) -> Int64) {
    guard case .part(let range) = asked else { return }
    asked = .part(ByteRange(max(0, range.start - before), min(content.size, range.end + behind(range))))
  }

  func reply(_ hub: Hub, _ exchange: Exchange) -> Reply {
    var asked = asked
    if let condition = exchange.header("If-Range"), !holds(condition) { asked = .whole }
    var headers = [("Accept-Ranges", hasRanges ? "bytes" : "none"), ("Content-Type", contentType)]
    if validators != .none { headers.append(("ETag", etag)) }
    if hasDate { headers.append(("Last-Modified", modified)) }
    if let encoding { headers.append(("Content-Encoding", encoding)) }

    let total = content.size + totalError
    let range: ByteRange
    var status: UInt32 = 206
    switch asked {
    case .unsatisfiable:
      headers.append(("Content-Range", "bytes */\(total)"))
      return Reply(status: 416, headers: headers, body: .bytes([]))
    case .part(let part):
      range = part
      headers.append(("Content-Range", "bytes \(part.start + startError)-\(part.end - 1 + startError)/\(total)"))
    case .whole:
      range = ByteRange(0, content.size)
      status = 200
    }
    if let odd {
      if odd.isInstead { headers.removeAll { $0.0.lowercased() == odd.name.lowercased() } }
      let value = URLText.filled(odd.value, ["first": range.start, "last": range.end - 1, "total": total])
      if !value.isEmpty { headers.append((odd.name, value)) }
    }
    return body(range, Reply(status: status, headers: headers, body: .bytes([])), hub, exchange)
  }

  /// `reply` with the bytes of `range`, or as many as the fault says.
  private func body(_ range: ByteRange, _ reply: Reply, _ hub: Hub, _ exchange: Exchange) -> Reply {
    var reply = reply
    var count = min(range.count, bodyLimit ?? .max)
    var content = content
    if let excess {
      content = ExtendedContent(base: content, size: content.size + excess.bytes)
      if excess.way == .junk {
        reply.junk = content.bytes(range.start + count, count: Int(min(excess.bytes, Self.mostJunk)))
      } else {
        count += excess.bytes
      }
    }
    if count == 0 { return reply }
    let sent = ByteRange(offset: range.start, length: count)
    let stream = BodyStream(
      hub: hub, content: content, range: sent, route: .storage, file: file.id, peer: exchange.socket, ending: ending)
    stream.rate = rate
    let hasLength = excess.map { $0.way == .junk || $0.way == .length } ?? true
    reply.body = hasLength ? .stream(stream) : .endless(stream, isChunked: excess?.way == .chunked)
    return reply
  }

  /// It is in memory, unlike a body.
  private static let mostJunk: Int64 = 1 << 20
}
