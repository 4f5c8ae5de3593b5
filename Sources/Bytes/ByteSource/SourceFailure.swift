import Core

/// Why a range or an access was not had, by what is to be done about it. Texts are for people and hold no address,
/// nothing secret and no bytes of an answer. It is a value, which sources make and `FetchPlan` judges.
package enum SourceFailure: Error, Sendable, Equatable {
  /// Says nothing about the object: worth another try after a pause, or after the time that the source named.
  /// `isOverload`: fewer ranges at a time are wanted. The text is a whole sentence, as is that of all cases without
  /// another word.
  case passing(String, after: Duration? = nil, isOverload: Bool = false)
  /// The access is refused: another may help. `isClear`: the object is gone, unless it is only the access.
  case noAccess(String, after: Duration? = nil, isClear: Bool = false)
  /// The answer is not the bytes asked for: a page in place of the object, another place of it, an encoding. The text
  /// says which.
  case wrongAnswer(String)
  /// The bytes ended early; what came before the end is right and was handed over.
  case short(received: Int64, expected: Int64)
  /// The source has another length for the object than was announced.
  case sizeDiffers(expected: Int64, found: Int64)
  /// Trying again cannot help: refused credentials, or a request that the source does not take.
  case refused(String)
  /// There is no such object, or none for this recipient.
  case notThere(String)
  /// The source's own policy or configuration does not allow the way to the bytes; no request was made.
  case forbidden(String)
  case cancelled

  /// The right reaction to a failure.
  package enum Remedy: Sendable, Equatable {
    /// Try again after a back-off, or after this time if the source named one.
    case retry(after: Duration?)
    /// The access may no longer work: get another, once per burst of failures. `isClear`: a new one that is answered
    /// the same is the end.
    case newAccess(after: Duration?, isClear: Bool)
    /// Trying again cannot help.
    case give
  }

  package var remedy: Remedy {
    switch self {
    case .passing(_, let after, _): .retry(after: after)
    case .wrongAnswer, .short: .retry(after: nil)
    case .noAccess(_, let after, let isClear): .newAccess(after: after, isClear: isClear)
    case .sizeDiffers, .refused, .notThere, .forbidden, .cancelled: .give
    }
  }

  /// One sentence for people.
  package var sentence: String {
    switch self {
    case .passing(let text, _, _), .noAccess(let text, _, _), .refused(let text), .notThere(let text),
      .forbidden(let text):
      text
    case .wrongAnswer(let text): "the origin's answer is not the file: \(text)"
    case .short(let received, let expected): "the origin ended a body after \(received) of \(expected) bytes"
    case .sizeDiffers(let expected, let found): "the origin's file has \(found) bytes where \(expected) were announced"
    case .cancelled: "the fetch was cancelled"
    }
  }
}
