import Core
import Transfer

/// Why the service gave no answer to use. One sentence each, fit for a person; no secrets, no URL beyond scheme and host.
package enum MediaHubError: Error, Sendable, Equatable {
  case unreachable(String)
  case refused(String)
  case malformed(String)
  case notFound(String)

  package var sentence: String {
    switch self {
    case .unreachable(let sentence), .refused(let sentence), .malformed(let sentence), .notFound(let sentence): sentence
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
    case .timedOut(let phase): unreachable("no answer in time, phase \(phase)")
    case .short: unreachable("the answer ended early")
    case .cancelled: .unreachable("the request to MediaHub was cancelled")
    case .status(let status, _): refused(status)
    case .wrongAnswer(let reason):
      .malformed("MediaHub at \(service) gave an answer that cannot be used (\(reason)); check the setting api_base")
    case .refused(let sentence), .insecure(let sentence): .refused(sentence)
    case .sizeDiffers, .sourceChanged: .malformed("MediaHub at \(service) gave an answer to another request")
    }
  }

  private func unreachable(_ reason: String) -> MediaHubError {
    .unreachable("MediaHub at \(service) cannot be reached (\(reason)); check the network and the setting api_base")
  }

  /// A status that no more trying helped against.
  func refused(_ status: Int) -> MediaHubError {
    switch status {
    case 401, 403: .refused("MediaHub refused the credentials (\(status)); check client_id and client_secret")
    case 404, 405, 410: .refused("there is no MediaHub API at \(service) (\(status)); check the setting api_base")
    case 429: .unreachable("MediaHub at \(service) asks for fewer requests (429); try again in a while")
    case 500...599: .unreachable("MediaHub at \(service) has trouble of its own (\(status)); try again in a while")
    case 300...399: .refused("MediaHub at \(service) answers from another address (\(status)); check the setting api_base")
    default: .refused("MediaHub at \(service) refused the request (\(status))")
    }
  }

  func refusedSignature(_ status: Int) -> MediaHubError {
    .refused("MediaHub refused a signed request (\(status)); check client_id, client_secret, link_auth and this machine's clock")
  }

  func malformed(_ what: String) -> MediaHubError {
    .malformed("MediaHub at \(service) answered a request for \(what) with something else; check the setting api_base")
  }

  func noFile(_ id: String) -> MediaHubError {
    .notFound("there is no file \(Self.shown(id)) in MediaHub; `fsmvp jobs` lists what there is")
  }
  func noJob(_ id: String) -> MediaHubError { .notFound("there is no job \(Self.shown(id)) in MediaHub; `fsmvp jobs` lists what there is") }

  /// An id that somebody typed or a server sent: without control characters, of a length to read.
  static func shown(_ id: String) -> String {
    let scalars = id.unicodeScalars.map { $0.value < 0x20 || (0x7f..<0xa0).contains($0.value) ? "\u{fffd}" : $0 }
    var text = ""
    text.unicodeScalars.append(contentsOf: scalars.prefix(64))
    return scalars.count > 64 ? text + "..." : text
  }
}

extension MediaHubError {
  /// As an `Origin` reports it: what may pass is tried again there.
  var asTransferError: TransferError {
    switch self {
    case .unreachable(let sentence): .unreachable(sentence)
    case .malformed(let sentence): .wrongAnswer(sentence)
    case .refused(let sentence), .notFound(let sentence): .refused(sentence)
    }
  }
}
