import Core

/// Signed links into the storage: made by `GET /v1/files/downloads/`, judged by `/storage/…`.
extension Hub {
  func download(_ exchange: Exchange) -> Reply {
    guard let id = exchange.query("file_id"), !id.isEmpty else { return .failure(400, "file_id is missing.") }
    guard let found = state.withLock({ $0.catalog[id] }) else { return .failure(404, "No such file.") }
    guard let tag = exchange.query("autograph_tag"), !tag.isEmpty else { return .failure(400, "autograph_tag is missing.") }
    guard found.hasAutograph else { return .failure(400, "The file has no AutoGraph variants.") }
    let wantedEnd = exchange.query("expiry_time").flatMap(Double.init)
    let link = mint(found, tag: tag, end: wantedEnd)
    guard exchange.query("redirect") == "true" else { return .json(200, ["uri": .string(root + link)]) }
    let isRelative = state.withLock { $0.settings.relativeLocation }
    return Reply(status: 302, headers: [("Location", isRelative ? link : root + link)], body: .bytes([]))
  }

  private func mint(_ file: CatalogFile, tag: String, end: Double?) -> String {
    let (serial, seconds, hops) = state.withLock { state in
      state.linkSerial += 1
      state.statistics.linksMinted += 1
      return (state.linkSerial, state.settings.linkSeconds, state.settings.storageHops)
    }
    let expires = Int64((end ?? wallSeconds() + seconds) * 1000)
    let signature = sign(file.id, tag, "\(expires)", "\(serial)")
    return "/storage/\(file.id)/\(URLText.encode(file.name))?tag=\(URLText.encode(tag))&expires=\(expires)&n=\(serial)&hops=\(hops)"
      + "&signature=\(signature)"
  }

  private func sign(_ file: String, _ tag: String, _ expires: String, _ serial: String) -> String {
    StableHash.hex(secret, file, tag, expires, serial) + StableHash.hex(file, tag, expires, serial, secret)
  }

  /// The tag of a link that is good, or the status that says why it is not.
  func judge(_ exchange: Exchange, file: String) -> (tag: String, status: UInt32) {
    guard let tag = exchange.query("tag"), let expires = exchange.query("expires"), let serial = exchange.query("n"),
      let end = Double(expires), let number = Int(serial), exchange.query("signature") == sign(file, tag, expires, serial)
    else { return ("", 403) }
    let revoked = state.withLock { state in
      [state.revoked[file], state.revoked[""]].compactMap { $0 }.filter { number <= $0.serial }.map(\.status).first
    }
    if let revoked { return (tag, revoked) }
    return (tag, wallSeconds() * 1000 < end ? 200 : 403)
  }

  /// The same link with one redirect less to go; nil where the bytes are next.
  func nextHop(_ exchange: Exchange, file: CatalogFile) -> String? {
    guard let hops = exchange.query("hops").flatMap({ Int($0) }), hops > 0, let tag = exchange.query("tag"),
      let expires = exchange.query("expires"), let serial = exchange.query("n"), let signature = exchange.query("signature")
    else { return nil }
    return "/storage/\(file.id)/\(URLText.encode(file.name))?tag=\(URLText.encode(tag))&expires=\(expires)&n=\(serial)&hops=\(hops - 1)"
      + "&signature=\(signature)"
  }
}
