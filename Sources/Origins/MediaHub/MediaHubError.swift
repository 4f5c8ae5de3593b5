import Core
import Transfer

/// Why the service gave no answer to use. One sentence each, fit for a person; no secrets, no URL beyond scheme and
/// host. It is a value without state, and `Sentences` is one that `ServiceConnection` makes.
package enum MediaHubError: Error, Sendable, Equatable {
  case unreachable(String)
  case refused(String)
  case malformed(String)
  case notFound(String)
  /// The answer is longer than what is kept of one.
  case tooLong(String)
  /// This program lacks what a request needs; nothing was sent.
  case unconfigured(String)
  /// The service asked to be left alone for so long; nothing is sent to it meanwhile.
  case busy(String, retryAfter: Duration)

  package var sentence: String {
    switch self {
    case .unreachable(let sentence), .refused(let sentence), .malformed(let sentence), .notFound(let sentence),
      .tooLong(let sentence), .unconfigured(let sentence), .busy(let sentence, _):
      sentence
    }
  }
}

/// The sentences, for requests to `base`.
struct Sentences {
  /// Scheme, host and port of the setting.
  let service: String

  init(base: String) { service = WebAddress(base).map { "\($0.scheme ?? "")://\($0.hostAndPort ?? "")" } ?? "api_base" }

  func failed(_ error: TransferError) -> MediaHubError {
    switch error {
    case .unreachable(let reason): unreachable(reason)
    case .timedOut(let phase) where phase == "connect" || phase == "TLS":
      unreachable("no answer in time, phase \(phase)")
    case .timedOut(let phase):
      .unreachable("MediaHub at \(service) did not answer in time (\(phase)); try again in a while")
    case .short: .unreachable("MediaHub at \(service) broke off in the middle of its answer; try again in a while")
    case .cancelled: .unreachable("the request to MediaHub was cancelled")
    case .status(let status, _): refused(status)
    case .wrongAnswer(let reason): .malformed("MediaHub at \(service) gave an answer that cannot be used: \(reason)")
    case .tooLong(let limit):
      .tooLong("MediaHub at \(service) gave an answer of more than \(limit >> 20) MiB, which is not read")
    case .busy(let sentence, let wait): .busy(sentence, retryAfter: wait)
    case .refused(let sentence), .insecure(let sentence): .refused(sentence)
    case .notThere(let sentence): .notFound(sentence)
    case .unconfigured(let sentence): .unconfigured(sentence)
    case .sizeDiffers: .malformed("MediaHub at \(service) gave an answer to another request")
    }
  }

  /// The reason may name the setting that it is about.
  private func unreachable(_ reason: String) -> MediaHubError {
    let advice = reason.contains("the setting ") ? "" : "; check the network and the setting api_base"
    return .unreachable("MediaHub at \(service) cannot be reached (\(reason))\(advice)")
  }

  /// A status that no more trying helped against.
  func refused(_ status: Int) -> MediaHubError {
    switch status {
    case 404, 405, 410: .refused("there is no MediaHub API at \(service) (\(status)); check the setting api_base")
    case 429: .unreachable("MediaHub at \(service) asks for fewer requests (429); try again in a while")
    case 500...599: .unreachable("MediaHub at \(service) has trouble of its own (\(status)); try again in a while")
    case 300...399:
      .refused("MediaHub at \(service) answers from another address (\(status)); check the setting api_base")
    default: .refused("MediaHub at \(service) refused the request (\(status))")
    }
  }

  /// - Parameter cause: OAuth's word for it, or "".
  func refusedCredentials(_ status: Int, cause: String, hasScope: Bool) -> MediaHubError {
    switch cause {
    case "invalid_scope": .refused("MediaHub refused the scope that was asked for (\(status)); check the setting scope")
    case "unsupported_grant_type", "invalid_request":
      .refused(
        "MediaHub at \(service) does not understand a request for a token (\(status), \(cause)); check the setting "
          + "api_base"
      )
    default:
      .refused(
        "MediaHub refused the credentials (\(status)); check client_id and "
          + "client_secret\(hasScope ? ", then scope" : "")"
      )
    }
  }

  /// The error if MediaHub refuses a token that it gave a moment before: the credentials were right.
  func refusedToken(_ status: Int, hasScope: Bool) -> MediaHubError {
    .refused(
      "MediaHub gave a token and then refused it (\(status)): client_id and client_secret are right, but this "
        + "application may not do that; "
        + (hasScope ? "check the setting scope and the application's rights" : "check the application's rights"))
  }

  func refusedSignature(_ status: Int) -> MediaHubError {
    .refused(
      "MediaHub refused a signed request (\(status)); check client_id, client_secret, link_auth and this machine's "
        + "clock"
    )
  }

  func malformed(_ what: String) -> MediaHubError {
    .malformed("MediaHub at \(service) answered a request for \(what) with something else; check the setting api_base")
  }

  /// It is an answer of its kind, but without what is needed of it.
  func lacking(_ field: String, in what: String) -> MediaHubError {
    .malformed(
      "MediaHub at \(service) answered a request for \(what), but \(field) is missing in the answer or cannot be used")
  }

  func noFile(_ id: String) -> MediaHubError {
    .notFound("there is no file \(Self.shown(id)) in MediaHub; `fsmvp jobs` lists what there is")
  }
  func noJob(_ id: String) -> MediaHubError {
    .notFound("there is no job \(Self.shown(id)) in MediaHub; `fsmvp jobs` lists what there is")
  }

  /// An id that was typed or that a server sent: without control characters, of a length to read.
  static func shown(_ id: String) -> String {
    let scalars = id.unicodeScalars.map { $0.value < 0x20 || (0x7f..<0xa0).contains($0.value) ? "\u{fffd}" : $0 }
    var text = ""
    text.unicodeScalars.append(contentsOf: scalars.prefix(64))
    return scalars.count > 64 ? text + "..." : text
  }
}

extension MediaHubError {
  /// The same failure for an `HTTPSource`, which tries again if it may pass.
  var asTransferError: TransferError {
    switch self {
    case .unreachable(let sentence): .unreachable(sentence)
    case .malformed(let sentence), .tooLong(let sentence): .wrongAnswer(sentence)
    case .refused(let sentence): .refused(sentence)
    case .notFound(let sentence): .notThere(sentence)
    case .unconfigured(let sentence): .unconfigured(sentence)
    case .busy(let sentence, let wait): .busy(sentence, retryAfter: wait)
    }
  }
}
