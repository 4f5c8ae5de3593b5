import Core

/// What the storage is about to say of one file: right to begin with, then bent by a fault.
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
  private let version: Int
  private let tag: String
  private let validators: Behaviour.Validators
  private let hasDate: Bool

  init(_ hub: Hub, file: CatalogFile, tag: String, asked: RangeHeader) {
    (self.file, self.tag, self.asked) = (file, tag, asked)
    (version, validators, hasDate) = hub.state.withLock { ($0.versions[file.id] ?? 1, $0.settings.etag, $0.settings.lastModified) }
    content = file.content(tag: tag, version: version)
    // The storage knows a plain media type; the caps-like tail is the API's.
    contentType = String(file.mimeType.prefix { $0 != "," })
  }

  /// Stable for a file, a recipient and a version, whatever the link.
  private var etag: String {
    let strong = "\"\(StableHash.hex(file.id, tag, "\(version)"))\(etagSuffix)\""
    return validators == .weak ? "W/" + strong : strong
  }

  /// A minute later with each version.
  private var modified: String { URLText.date(seconds: 1_750_000_000 + Int64(version) * 60) }

  /// RFC 9110 section 13.1.5: a weak validator never holds.
  private func holds(_ condition: String) -> Bool {
    if condition.hasPrefix("\"") { return validators == .strong && (condition == etag || !etagSuffix.isEmpty) }
    return hasDate && condition == modified
  }

  func reply(_ hub: Hub, _ exchange: Exchange) -> Reply {
    var asked = asked
    if let condition = exchange.header("If-Range"), !holds(condition) { asked = .whole }
    var headers = [("Accept-Ranges", "bytes"), ("Content-Type", contentType)]
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
    let stream = BodyStream(hub: hub, content: content, range: sent, route: .storage, file: file.id, peer: exchange.socket)
    stream.rate = rate
    stream.ending = ending
    let hasLength = excess.map { $0.way == .junk || $0.way == .length } ?? true
    reply.body = hasLength ? .stream(stream) : .endless(stream, isChunked: excess?.way == .chunked)
    return reply
  }

  /// It is in memory, unlike a body.
  private static let mostJunk: Int64 = 1 << 20
}
