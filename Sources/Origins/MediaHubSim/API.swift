import Core

/// The routes: MediaHub's under /v1, its storage's under /storage, the simulator's own under /_sim. A request is
/// answered on its connection's thread; the state is `Hub`'s, behind its lock.
extension Hub {
  func answer(_ exchange: Exchange, on port: Listener.Service) -> Reply {
    let parts = exchange.path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map(String.init)
    if parts.first == "_sim", parts.count == 2, port != .storage { return answerAdmin(exchange, parts[1]) }
    if isSilent(exchange) { return silence(exchange) }
    let reply =
      switch parts.first {
      case "v1" where port != .storage: answerAPI(exchange, Array(parts.dropFirst()))
      case "storage" where port != .service && parts.count >= 2: answerStorage(exchange, file: parts[1])
      default: Reply.failure(404, "No such resource.")
      }
    if isSilent(exchange) {
      reply.body.drop()
      return silence(exchange)
    }
    countStatus(reply)
    return reply
  }

  private func countStatus(_ reply: Reply) {
    let status = if case .none = reply.body { "none" } else { "\(reply.status)" }
    state.withLock { $0.statistics.statuses[status, default: 0] += 1 }
  }

  /// The service answers 404 where the trailing slash of a collection is missing; of a single object it does not insist
  /// on one.
  private func answerAPI(_ exchange: Exchange, _ parts: [String]) -> Reply {
    let path = parts.joined(separator: "/")
    switch (exchange.method, path) {
    case ("POST", "oauth2/token/"): return withFaults(.token, exchange) { self.token(exchange) }
    case ("GET", "jobs/"): return withFaults(.jobs, exchange) { self.authorized(exchange) { self.jobs(exchange) } }
    case ("GET", "files/downloads/"):
      let file = exchange.query("file_id")
      return withFaults(.downloads, exchange, file: file) {
        self.authorized(exchange, canBeSigned: true) { self.download(exchange) }
      }
    case ("GET", _) where path.hasSuffix("/downloads"): return .failure(404, "No such resource.")
    default: break
    }
    guard exchange.method == "GET", parts.count == 2 || (parts.count == 3 && parts[2].isEmpty), !parts[1].isEmpty else {
      return .failure(404, "No such resource.")
    }
    let id = parts[1]
    switch parts[0] {
    case "jobs": return withFaults(.job, exchange) { self.authorized(exchange) { self.job(id) } }
    case "files":
      return withFaults(.files, exchange, file: id) { self.authorized(exchange, canBeSigned: true) { self.file(id) } }
    default: return .failure(404, "No such resource.")
    }
  }

  /// Counts the request, lets gates and faults have their way with it, and otherwise answers.
  private func withFaults(_ route: Route, _ exchange: Exchange, file: String? = nil, answer: () -> Reply) -> Reply {
    count(route.rawValue)
    let delay = state.withLock { $0.settings.apiDelay }
    if delay > .zero { pause(delay, peer: exchange.socket) }
    guard pass(route, file: file, offset: 0, peer: exchange.socket) else { return .hangUp(reset: false) }
    guard let fault = takeFault(route, file: file) else { return answer() }
    switch fault {
    case .status(let status, let retryAfter):
      var reply = Reply.failure(status, "Simulated failure.")
      if let retryAfter { reply.headers.append(("Retry-After", "\(retryAfter)")) }
      return reply
    case .delay(let duration):
      pause(duration, peer: exchange.socket)
      return answer()
    case .reset(let after) where after == 0: return .hangUp(reset: true)
    case .htmlPage, .htmlRange:
      return Reply(status: 200, headers: [("Content-Type", "text/html")], body: .bytes(HTMLContent.page))
    case .malformed: return answer().malformed()
    case .missing: return answer().missingFields()
    case .gzip:
      var reply = answer()
      reply.headers.append(("Content-Encoding", "gzip"))
      return reply
    case .cut(let after): return answer().streamed(self, route, exchange, ending: (after, .cut))
    case .reset(let after): return answer().streamed(self, route, exchange, ending: (after, .reset))
    case .stall(let after, let duration):
      return answer().streamed(self, route, exchange, ending: (after, .stall(for: duration)))
    case .short, .long, .slow, .wholeBody, .wrongStart, .wrongTotal, .otherETag, .change, .shifted, .header, .part,
      .wide:
      return answer()
    }
  }

  private func authorized(_ exchange: Exchange, canBeSigned: Bool = false, answer: () -> Reply) -> Reply {
    if canBeSigned, isSigned(exchange) {
      let flaw = flaw(ofSigned: exchange)
      state.withLock { $0.statistics.signed[flaw == nil ? "accepted" : "refused", default: 0] += 1 }
      return flaw.map { .failure(403, $0) } ?? answer()
    }
    let time = now()
    guard let header = exchange.header("Authorization"), header.hasPrefix("Bearer "),
      state.withLock({ $0.tokens.contains { $0.token == header.dropFirst(7) && $0.end > time } })
    else {
      var reply = Reply.failure(401, "Invalid or expired access token.")
      reply.headers.append(("WWW-Authenticate", "Bearer error=\"invalid_token\""))
      return reply
    }
    return answer()
  }
}

extension Reply {
  /// Half of a JSON body; a Location that is no URL.
  fileprivate func malformed() -> Reply {
    var reply = self
    if case .bytes(let bytes) = body { reply.body = .bytes(Array(bytes.prefix(bytes.count / 2))) }
    reply.headers = headers.map { $0.0 == "Location" ? ("Location", "http://[broken") : $0 }
    return reply
  }

  /// Without what a client needs most.
  fileprivate func missingFields() -> Reply {
    var reply = self
    reply.headers.removeAll { $0.0 == "Location" }
    if case .bytes(let bytes) = body, let json = try? JSON(parsing: bytes) {
      let gone: Set<String> = ["access_token", "total", "input", "size", "name", "uri"]
      reply.body = .bytes(Array(json.dropping(gone).text.utf8))
    }
    return reply
  }

  fileprivate func streamed(_ hub: Hub, _ route: Route, _ exchange: Exchange, ending: (Int64, BodyStream.Ending))
    -> Reply
  {
    guard case .bytes(let bytes) = body, !bytes.isEmpty else { return self }
    let content = BytesContent(bytes: bytes)
    let stream = BodyStream(
      hub: hub, content: content, range: ByteRange(0, content.size), route: route, peer: exchange.socket, ending: ending
    )
    var reply = self
    reply.body = .stream(stream)
    return reply
  }
}
