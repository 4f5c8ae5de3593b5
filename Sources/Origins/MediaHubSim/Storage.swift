import Core

/// The storage that links lead to: files with ranges, and everything that goes wrong with them. They are answered on
/// the connection's thread; the state is `Hub`'s, behind its lock.
extension Hub {
  func answerStorage(_ exchange: Exchange, file id: String) -> Reply {
    if isRefusing() { return .hangUp(reset: true) }
    // The API's bearer must never get here, and a compressed body has no ranges worth the name.
    if exchange.header("Authorization") != nil {
      count(Route.storage.rawValue)
      countUnwanted("authorization at storage")
      return refusal(400, "InvalidArgument")
    }
    if let accepted = exchange.header("Accept-Encoding"), !accepted.lowercased().hasPrefix("identity") {
      countUnwanted("accept-encoding at storage")
    }
    guard exchange.method == "GET" || exchange.method == "HEAD" else {
      count(Route.storage.rawValue)
      return refusal(405, "MethodNotAllowed")
    }
    let (tag, status) = judge(exchange, file: id)
    let (found, delay) = state.withLock { ($0.catalog[id], $0.settings.firstByteDelay) }
    guard status == 200, let found else {
      count(Route.storage.rawValue)
      return refusal(
        status == 200 ? 404 : status,
        [200: "NoSuchKey", 404: "NoSuchKey", 400: "ExpiredToken"][status] ?? "AccessDenied")
    }
    if let next = nextHop(exchange, file: found) {
      count("hop")
      return Reply(status: 302, headers: [("Location", storageRoot + next)], body: .bytes([]))
    }
    guard let seat = admit() else {
      count(Route.storage.rawValue)
      return limitReached()
    }
    exchange.seat = seat
    let asked = RangeHeader(exchange.header("Range"), size: found.size)
    let range = if case .part(let part) = asked { part } else { ByteRange(0, found.size) }
    state.withLock { state in
      state.statistics.requests[Route.storage.rawValue, default: 0] += 1
      if state.statistics.asked.count < options.rangeLog {
        state.statistics.asked.append(.init(file: id, range: range, isRanged: asked != .whole))
      } else {
        state.statistics.askedDropped += 1
      }
    }
    if delay > .zero { pause(delay, peer: exchange.socket) }
    guard pass(.storage, file: id, offset: range.start, peer: exchange.socket) else { return .hangUp(reset: false) }
    let fault = exchange.method == "GET" ? takeFault(.storage, file: id, offset: range.start) : nil
    return serve(exchange, StorageAnswer(self, file: found, tag: tag, asked: asked), fault)
  }

  private func limitReached() -> Reply {
    let (status, retryAfter) = state.withLock { ($0.settings.limitStatus, $0.settings.limitRetryAfter) }
    var reply = refusal(status, "SlowDown")
    if retryAfter > 0 { reply.headers.append(("Retry-After", "\(retryAfter)")) }
    return reply
  }

  private func refusal(_ status: UInt32, _ code: String) -> Reply {
    let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>\(code)</Code></Error>\n"
    return Reply(status: status, headers: [("Content-Type", "application/xml")], body: .bytes(Array(xml.utf8)))
  }

  private func serve(_ exchange: Exchange, _ plain: StorageAnswer, _ fault: Fault.Effect?) -> Reply {
    var answer = plain
    switch fault {
    case .status(let status, let retryAfter):
      var reply = refusal(status, "Simulated")
      if let retryAfter { reply.headers.append(("Retry-After", "\(retryAfter)")) }
      return reply
    case .delay(let duration): pause(duration, peer: exchange.socket)
    case .htmlPage, .malformed, .missing:
      return Reply(status: 200, headers: [("Content-Type", "text/html; charset=utf-8")], body: .bytes(HTMLContent.page))
    case .htmlRange:
      answer.content = HTMLContent(size: answer.content.size)
      answer.contentType = "text/html; charset=utf-8"
    case .reset(let after) where after == 0: return .hangUp(reset: true)
    case .reset(let after): answer.ending = (after, .reset)
    case .cut(let after): answer.ending = (after, .cut)
    case .stall(let after, let duration): answer.ending = (after, .stall(for: duration))
    case .short(let bytes): answer.bodyLimit = bytes
    case .long(let bytes, let way): answer.excess = (bytes, way)
    case .slow(let rate): answer.rate = rate
    case .wholeBody: answer.asked = .whole
    case .wrongStart(let distance): answer.startError = distance
    case .wrongTotal(let distance): answer.totalError = distance
    case .otherETag: answer.etagSuffix = "-other"
    case .shifted(let distance): answer.content = ShiftedContent(base: answer.content, distance: distance)
    case .gzip: answer.encoding = "gzip"
    case .header(let name, let value, let isInstead): answer.odd = (name, value, isInstead)
    case .part(let bytes): answer.widen(before: 0, behind: { range in min(0, bytes - range.count) })
    case .wide(let bytes): answer.widen(before: bytes, behind: { _ in bytes })
    case .change, nil: break
    }
    return answer.reply(self, exchange)
  }
}
