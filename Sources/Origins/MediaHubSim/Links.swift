import Core

/// Signed links into the storage: made by `GET /v1/files/downloads/`, judged by `/storage/…`. Both run on the
/// connection's thread; links that were minted or revoked are in `Hub.State`.
extension Hub {
  func download(_ exchange: Exchange) -> Reply {
    guard let id = exchange.query("file_id"), !id.isEmpty else { return .failure(400, "file_id is missing.") }
    guard let found = state.withLock({ $0.catalog[id] }) else { return .failure(404, "No such file.") }
    guard let tag = exchange.query("autograph_tag"), !tag.isEmpty else {
      return .failure(400, "autograph_tag is missing.")
    }
    guard found.hasAutograph else { return .failure(400, "The file has no AutoGraph variants.") }
    // A signed request's is the end of the request itself.
    let wantedEnd = isSigned(exchange) ? nil : exchange.query("expiry_time").flatMap(Double.init)
    let link = mint(found, tag: tag, end: wantedEnd)
    guard exchange.query("redirect") == "true" else { return .json(200, ["uri": .string(storageRoot + link)]) }
    // The API's port does not serve a storage that has one of its own.
    let isRelative = storageRoot == root && state.withLock { $0.settings.relativeLocation }
    return Reply(status: 302, headers: [("Location", isRelative ? link : storageRoot + link)], body: .bytes([]))
  }

  private func mint(_ file: CatalogFile, tag: String, end: Double?) -> String {
    let time = now()
    let (serial, settings) = state.withLock { state in
      state.linkSerial += 1
      state.linkTimes.append(time)
      state.statistics.linksMinted += 1
      state.statistics.linksByFile[file.id, default: 0] += 1
      return (state.linkSerial, state.settings)
    }
    let end = LinkEnd(seconds: end ?? wallSeconds() + settings.linkSeconds, isShown: settings.linkExpiryShown)
    let signature = sign(file.id, tag, end, "\(serial)")
    return link(file, tag: tag, end: end, serial: "\(serial)", hops: settings.storageHops, signature: signature)
  }

  private func link(_ file: CatalogFile, tag: String, end: LinkEnd, serial: String, hops: Int, signature: String)
    -> String
  {
    "/storage/\(file.id)/\(URLText.encode(file.name))?tag=\(URLText.encode(tag))&\(end.name)=\(end.value)&n=\(serial)&hops=\(hops)"
      + "&signature=\(signature)"
  }

  private func sign(_ file: String, _ tag: String, _ end: LinkEnd, _ serial: String) -> String {
    StableHash.hex(secret, file, tag, end.name, end.value, serial)
      + StableHash.hex(file, tag, end.name, end.value, serial, secret)
  }

  /// The tag of a link that is good, or the status that says why it is not. Asked once a request: a body under way
  /// outlives its link.
  func judge(_ exchange: Exchange, file: String) -> (tag: String, status: UInt32) {
    guard let tag = exchange.query("tag"), let end = LinkEnd(exchange), let serial = exchange.query("n"),
      let number = Int(serial),
      let moment = end.seconds, exchange.query("signature") == sign(file, tag, end, serial)
    else { return ("", 403) }
    let isExpired = wallSeconds() >= moment
    let time = now()
    return state.withLock { state in
      let revoked = [state.revoked[file], state.revoked[""]].compactMap { $0 }.first { number <= $0.serial }
      if revoked != nil { state.statistics.revokedLinks += 1 } else if isExpired { state.statistics.expiredLinks += 1 }
      if let revoked { return (tag, revoked.status) }
      if isExpired { return (tag, state.settings.expiredStatus) }
      let isYoung = time - state.linkTimes[number - 1] < .seconds(state.settings.linkReadySeconds)
      return (tag, isYoung ? 404 : 200)
    }
  }

  /// The same link with one redirect less to go; nil where the bytes are next.
  func nextHop(_ exchange: Exchange, file: CatalogFile) -> String? {
    guard let hops = exchange.query("hops").flatMap({ Int($0) }), hops > 0, let tag = exchange.query("tag"),
      let end = LinkEnd(exchange), let serial = exchange.query("n"), let signature = exchange.query("signature")
    else { return nil }
    return link(file, tag: tag, end: end, serial: serial, hops: hops - 1, signature: signature)
  }
}

/// When a link ends, as its query says it.
private struct LinkEnd {
  let name: String
  let value: String

  /// Shown, it is rounded up to what such a parameter can say; a client reads the name without regard to its case, so
  /// the other is unlike it.
  init(seconds: Double, isShown: Bool) {
    // A caller's own wish can be any number; a thousand years fit.
    let seconds = seconds.isFinite ? min(max(seconds, 0), 3e10) : 3e10
    name = isShown ? "Expires" : "x"
    value = "\(Int64(isShown ? seconds.rounded(.up) : seconds * 1000))"
  }

  init?(_ exchange: Exchange) {
    guard
      let (name, value) = ["Expires", "x"].lazy.compactMap({ name in exchange.query(name).map { (name, $0) } }).first
    else {
      return nil
    }
    (self.name, self.value) = (name, value)
  }

  /// Since 1970.
  var seconds: Double? { Double(value).map { name == "x" ? $0 / 1000 : $0 } }
}
