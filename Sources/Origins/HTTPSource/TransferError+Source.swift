import ByteSource
import Transfer

/// The failures of HTTP, sorted by the remedy that fetching has for them. It is a pure function without state.
extension TransferError {
  /// The same failure of a source: its kind by the table of docs/ORIGINS.md, its sentence for people.
  package var asSourceFailure: SourceFailure {
    switch self {
    case .unreachable(let text): .passing("the origin cannot be reached: \(text)")
    case .timedOut(let phase):
      .passing("the origin did not answer in time (\(phase)); the setting idle_timeout says how long to wait")
    case .status(let code, let retryAfter): Self.failure(of: code, after: retryAfter)
    case .wrongAnswer(let text): .wrongAnswer(text)
    case .short(let received, let expected): .short(received: received, expected: expected)
    case .sizeDiffers(let expected, let found): .sizeDiffers(expected: expected, found: found)
    case .refused(let text): .refused(text)
    case .notThere(let text): .notThere(text)
    case .insecure(let text), .unconfigured(let text): .forbidden(text)
    case .tooLong(let limit): .refused("the origin's answer is longer than \(limit >> 20) MiB")
    case .busy(let text, let wait): .passing(text, after: wait)
    case .cancelled: .cancelled
    }
  }

  private static func failure(of status: Int, after: Duration?) -> SourceFailure {
    let sentence = "the origin answered with status \(status)"
    return switch StatusVerdict(status: status) {
    case .link: .noAccess(sentence, after: after)
    case .gone: .noAccess(sentence, after: after, isClear: true)
    case .overload: .passing(sentence, after: after, isOverload: true)
    case .bytes, .passing, .outside: .passing(sentence, after: after)
    }
  }
}
