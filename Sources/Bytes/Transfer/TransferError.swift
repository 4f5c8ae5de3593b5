/// Why a request failed. Descriptions are for people and hold no URL, no header value that may be secret and no body.
/// It is a value, without state.
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
  /// The service refused credentials or request; the text is one sentence.
  case refused(String)
  /// The service says that there is no such file, or none for this recipient; the text is one sentence.
  case notThere(String)
  /// The URL is not allowed (plain http to a host that is neither this machine nor named by the policy).
  case insecure(String)
  /// This program lacks what the request needs, and nothing was sent; the text is one sentence.
  case unconfigured(String)
  /// The answer is longer than this many bytes, which is the most that is kept.
  case tooLong(limit: Int)
  /// The service asked to be left alone for so long; the text is one sentence. Nothing was sent.
  case busy(String, retryAfter: Duration)
  case cancelled
}
