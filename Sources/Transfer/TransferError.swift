import Core

/// Why a request failed. Descriptions are for people and hold no URL, no header value that may be secret and no body.
package enum TransferError: Error, Sendable, Equatable {
  /// No connection, a reset, a failed name look-up, TLS. The text is libcurl's.
  case unreachable(String)
  /// No byte for the time of that phase ("connect", "headers", "body").
  case timedOut(phase: String)
  case status(Int, retryAfter: Duration?)
  /// The answer is not the bytes asked for: HTML, a wrong Content-Range, an encoding, a body of another length.
  case wrongAnswer(String)
  /// The body ended early; what came before the end is right and was handed over.
  case short(received: Int64, expected: Int64)
  /// The server has another length for the object than the catalogue.
  case sizeDiffers(expected: Int64, found: Int64)
  /// The validator differs from the one the bytes on disk came with.
  case sourceChanged
  /// The service refused credentials or request; the text is one sentence.
  case refused(String)
  /// The URL is not allowed (plain http to a host that is not this machine).
  case insecure(String)
  case cancelled

  /// What to do about it (specs: mediahub 4.3, point 4).
  package enum Remedy: Sendable, Equatable {
    /// Try again after a back-off, or after this time if the server named one.
    case retry(after: Duration?)
    /// The link no longer works; get another, once per burst of failures.
    case newLink
    /// Trying again cannot help.
    case give
  }

  package var remedy: Remedy {
    switch self {
    case .unreachable, .timedOut, .short, .wrongAnswer: .retry(after: nil)
    case .status(let code, let retryAfter):
      switch code {
      case 401, 403, 404, 410: .newLink
      case 408, 425, 429, 500...599: .retry(after: retryAfter)
      default: .give
      }
    case .sizeDiffers, .sourceChanged, .refused, .insecure, .cancelled: .give
    }
  }
}
