/// A request's failure as the API tells it: a stable code for programs, one sentence for people. docs/API.md lists the
/// codes. It is a plain value.
package struct ControlError: Error, Sendable, Equatable {
  package enum Code: String, Sendable, Codable, CaseIterable {
    case invalid
    /// Over TCP: no token and no session, or a wrong or expired one.
    case unauthorized
    case forbidden
    case noSuchRoute = "no_such_route"
    case noSuchItem = "no_such_item"
    case noSuchFile = "no_such_file"
    case methodNotAllowed = "method_not_allowed"
    case tooLarge = "too_large"
    /// The connection is another server's than the path.
    case misdirected
    case serviceUnreachable = "service_unreachable"
    case serviceRefused = "service_refused"
    case serviceMalformed = "service_malformed"
    /// The request needs MediaHub, and no credentials are configured.
    case noCredentials = "no_credentials"
    case stopping
    /// Too many connections of that kind; those that have ended make room.
    case busy
    case failed

    /// The HTTP status.
    package var status: Int {
      switch self {
      case .invalid: 400
      case .unauthorized: 401
      case .forbidden: 403
      case .noSuchRoute, .noSuchItem, .noSuchFile: 404
      case .methodNotAllowed: 405
      case .tooLarge: 413
      case .misdirected: 421
      case .serviceUnreachable, .serviceRefused, .serviceMalformed: 502
      case .noCredentials, .stopping, .busy: 503
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

  package static let hasTooManyFollowers = ControlError(
    .busy,
    "too many programs follow the events already, or no descriptor is left for another one; close one, or raise the "
      + "limit of open files"
  )
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
