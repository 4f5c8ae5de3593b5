import Core

/// The simulator's own routes, for tests in other processes; `Simulator`'s methods are the same things in this one.
/// Bodies are JSON, counts of bytes are numbers or "40MiB", an unknown key is refused, arrays of faults and files are
/// taken too.
///
///     POST set      {"rate", "rate_per_connection", "first_byte_delay_ms", "api_delay_ms", "expires_in":
///                   "string|number|absent", "token_seconds", "size_spelling": "number|float|string", "link_seconds",
///                   "link_expiry_shown", "expired_status", "link_ready_seconds", "relative_location", "storage_hops",
///                   "ranges", "etag": "strong|weak|none|edges|erratic", "last_modified", "date_changes",
///                   "max_connections", "max_requests_per_second", "limit_status", "limit_retry_after"}: what is named
///                   changes
///     POST fault    {"kind", "route", "file", "count", "skip", "from", "until", "probability", "seed", "for_ms"} and
///                   what the kind takes, see `Fault`
///     POST refuse   {"seconds"}, {"on": true} or {"on": false}: the storage refuses connections
///     POST silence  {}: no connection that is open now gets another byte; new ones do
///     POST gate     {"route", "file", "from"} -> {"gate": N}
///     POST release  {"gate": N}, or {} for all
///     POST revoke   {"file", "status"}: every link minted so far; {"tokens": true}: every token
///     POST change   {"file", "size", "from"}: another content (from that byte on), ETag, date and length from now on
///     POST file     {"id", "name", "size", "kind": "plain|video|video_moov_last", "autograph", "stub"}, in a job of
///                   its own
///     POST reset    {}: all but the catalog, the tokens and the files' versions
///     GET  stats    see `Statistics`
///     GET  content  ?file=ID&tag=TAG&offset=&length=: the right bytes, at full speed
///
/// They are answered on the connection's thread; the state is `Hub`'s, behind its lock.
extension Hub {
  func answerAdmin(_ exchange: Exchange, _ name: String) -> Reply {
    do {
      return switch (exchange.method, name) {
      case ("GET", "stats"): .json(200, statistics().json)
      case ("GET", "content"): try content(exchange)
      case ("POST", _): try change(name, body: exchange.body.isEmpty ? [:] : JSON(parsing: exchange.body))
      default: .failure(404, "No such admin route.")
      }
    } catch let error as SimulatorError {
      return .failure(400, error.description)
    } catch {
      return .failure(500, "\(error)")
    }
  }

  private func change(_ name: String, body: JSON) throws -> Reply {
    switch name {
    case "set": try set { (settings) throws in try settings.merge(body) }
    case "fault":
      arm(try (body.items ?? [body]).map { try Fault($0) })
    case "refuse": refuse(try Refusal(body, now: now()))
    case "file": try add((body.items ?? [body]).map { try CatalogFile($0) })
    case "gate": return .json(200, ["gate": .int(Int64(hold(try Gate(body))))])
    case "release":
      var fields = try Fields(body)
      let gate = try fields.int("gate").map(Int.init)
      try fields.finish()
      release(gate)
    case "revoke": try revoke(body)
    case "change":
      var fields = try Fields(body)
      guard let file = try fields.string("file") else { throw SimulatorError("'file' is missing") }
      let (size, from) = (try fields.bytes("size"), try fields.bytes("from"))
      try fields.finish()
      state.withLock { state in
        state.versions[file, default: 1] += 1
        state.catalog.keepBeginning(of: file, upTo: from ?? 0)
        if let size { state.catalog.resize(file, to: size) }
      }
    case "silence":
      let fields = try Fields(body)
      try fields.finish()
      makeSilent()
    case "reset": reset()
    default: return .failure(404, "No such admin route.")
    }
    return .json(200, ["ok": true])
  }

  /// Links of a file or of all, or `{"tokens": true}`.
  private func revoke(_ body: JSON) throws {
    var fields = try Fields(body)
    let file = try fields.string("file")
    let status = UInt32(clamping: try fields.int("status") ?? 403)
    let isOfTokens = try fields.bool("tokens") ?? false
    try fields.finish()
    if isOfTokens { state.withLock { $0.tokens = [] } } else { revokeLinks(of: file, status: status) }
  }

  /// `?file=ID&tag=TAG`, with `offset` and `length` for a part of it: the right bytes, at full speed, whatever else is
  /// set.
  private func content(_ exchange: Exchange) throws -> Reply {
    let (found, version) = state.withLock { state in
      let found = exchange.query("file").flatMap { state.catalog[$0] }
      return (found, found.flatMap { state.versions[$0.id] } ?? 1)
    }
    guard let found else { return .failure(404, "No such file.") }
    guard let tag = exchange.query("tag") else { return .failure(400, "'tag' is missing") }
    let offset = exchange.query("offset").flatMap { Int64($0) } ?? 0
    guard offset >= 0, offset <= found.size else { return .failure(400, "'offset' is outside the file") }
    let length = min(exchange.query("length").flatMap { Int64($0) } ?? .max, found.size - offset)
    let headers = [("Content-Type", "application/octet-stream")]
    guard length > 0 else { return Reply(status: 200, headers: headers, body: .bytes([])) }
    let stream = BodyStream(
      hub: self, content: found.content(tag: tag, version: version), range: ByteRange(offset: offset, length: length),
      route: nil,
      peer: exchange.socket)
    return Reply(status: 200, headers: headers, body: .stream(stream))
  }
}

extension CatalogFile {
  /// `{"id", "name", "size"}` and, where wanted, "kind", "autograph", "stub".
  init(_ json: JSON) throws(SimulatorError) {
    var fields = try Fields(json)
    guard let id = try fields.string("id"), let size = try fields.bytes("size") else {
      throw SimulatorError("'id' or 'size' is missing")
    }
    self.init(
      id: id, name: try fields.string("name") ?? "\(id).bin", size: size,
      kind: try fields.take("kind") { $0.string.flatMap(Kind.init) } ?? .plain,
      hasAutograph: try fields.bool("autograph") ?? true, isStub: try fields.bool("stub") ?? false)
    try fields.finish()
  }
}

extension Gate {
  /// `{"route", "file", "from"}`, all of them optional.
  init(_ json: JSON) throws(SimulatorError) {
    var fields = try Fields(json)
    self.init(
      route: try fields.take("route") { $0.string.flatMap(Route.init) } ?? .storage, file: try fields.string("file"),
      from: try fields.bytes("from") ?? 0)
    try fields.finish()
  }
}
