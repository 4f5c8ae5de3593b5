import Core

/// The sentences about answers that are refused for their version. They are pure functions.
extension SourceVersion.Refusal {
  /// For people: what happened, and what to do.
  /// - Parameter size: the length that was announced, in bytes.
  func sentence(size: Int64) -> String {
    switch self {
    case .bytesDiffer:
      "the file changed at its origin while it was open: close it in every program and open it again; "
        + "if that does not help, `fsmvp unstage` it and stage it again"
    case .nothingToCompare:
      "the origin shows no strong ETag that says whether the file is still the one that was begun, and no byte of it "
        + "is left to compare: "
        + "close it in every program and open it again; if that does not help, `fsmvp unstage` it and stage it again"
    case .length(let found):
      "the origin's file has \(found) bytes, but \(size) were announced when it was staged: close it in every program "
        + "and open it again; "
        + "if that does not help, `fsmvp unstage` it and stage it again"
    }
  }
}
