import Core

/// The route of tokens. It is answered on the connection's thread; tokens are in `Hub.State`, behind the hub's lock.
extension Hub {
  /// Tokens kept; the oldest is forgotten for the newest. A client with more of them at a time has a bug worth seeing
  /// as 401s.
  private static let tokenLimit = 256

  /// `POST /v1/oauth2/token/`. The grant type is the service's own spelling, in the singular.
  func token(_ exchange: Exchange) -> Reply {
    guard exchange.header("Content-Type")?.lowercased().hasPrefix("application/x-www-form-urlencoded") == true else {
      return .json(400, ["error": "invalid_request", "error_description": "The body must be form encoded."])
    }
    let form = URLText.form(exchange.body)
    guard form["grant_type"] == "client_credential" else {
      return .json(
        400, ["error": "unsupported_grant_type", "error_description": "grant_type must be client_credential."])
    }
    guard form["client_id"] == options.clientID, form["client_secret"] == options.clientSecret else {
      return .json(401, ["error": "invalid_client", "error_description": "Client authentication failed."])
    }
    let time = now()
    let (token, settings) = state.withLock { state in
      let token = StableHash.hex(secret, "\(state.random.next())") + StableHash.hex("\(state.random.next())")
      state.tokens.removeAll { $0.end <= time }
      state.tokens.append((token, time + .milliseconds(Int64(state.settings.tokenSeconds * 1000))))
      if state.tokens.count > Self.tokenLimit { state.tokens.removeFirst() }
      state.statistics.tokensMinted += 1
      return (token, state.settings)
    }
    var members: [(String, JSON)] = [("access_token", .string(token)), ("token_type", "Bearer")]
    let whole = Int64(settings.tokenSeconds)
    switch settings.expiresIn {
    case .string: members.append(("expires_in", .string("\(whole)")))
    case .number: members.append(("expires_in", .int(whole)))
    case .absent: break
    }
    return .json(200, .object(members))
  }
}
