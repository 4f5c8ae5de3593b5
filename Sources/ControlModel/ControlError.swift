/// A request's failure as the API tells it: a stable code for programs, one sentence for people. docs/API.md lists the codes.
package struct ControlError: Error, Sendable, Equatable {
  package enum Code: String, Sendable, Codable, CaseIterable {
    case invalid
    case forbidden
    case noSuchRoute = "no_such_route"
    case noSuchItem = "no_such_item"
    case noSuchFile = "no_such_file"
    case methodNotAllowed = "method_not_allowed"
    case tooLarge = "too_large"
    case serviceUnreachable = "service_unreachable"
    case serviceRefused = "service_refused"
    case serviceMalformed = "service_malformed"
    case stopping
    case failed

    /// The HTTP status.
    package var status: Int {
      switch self {
      case .invalid: 400
      case .forbidden: 403
      case .noSuchRoute, .noSuchItem, .noSuchFile: 404
      case .methodNotAllowed: 405
      case .tooLarge: 413
      case .serviceUnreachable, .serviceRefused, .serviceMalformed: 502
      case .stopping: 503
      case .failed: 500
      }
    }
  }

  package var code: Code
  package var message: String

  package init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  package static let isStopping = ControlError(.stopping, "the control plane is stopping")
}

/// The body of an error's answer: `{"error":{"code":...,"message":...}}`.
package struct ControlErrorBody: Sendable, Equatable, Codable {
  package struct Content: Sendable, Equatable, Codable {
    /// One of `ControlError.Code`, or one of a later version.
    package var code: String
    package var message: String
  }
  package var error: Content

  package init(_ error: ControlError) { self.error = Content(code: error.code.rawValue, message: error.message) }
}
