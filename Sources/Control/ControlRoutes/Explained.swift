import ControlModel

/// A failure that the control API can tell: errors of all modules whose routes it answers conform to it. Such an error
/// is a value.
package protocol Explained: Error {
  /// The code for programs.
  var code: ControlError.Code { get }
  /// One sentence for people, without secrets.
  var sentence: String { get }
}

extension ControlError: Explained {
  package var sentence: String { message }
}

extension ControlError {
  /// The API's error for an error that a route threw. The text of an error that is not `Explained` is not shown: it was
  /// not written for users.
  package init(thrown error: any Error) {
    guard let error = error as? any Explained else {
      self.init(.failed, "the control plane could not do that; its log says more")
      return
    }
    self.init(error.code, error.sentence)
  }
}
