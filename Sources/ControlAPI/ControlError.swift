import MediaHub
import ShimHost
import Staging

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

  /// - Parameter missing: what a `noSuch` means here, where a file is asked for or an item.
  package init(_ error: StagingError, missing: Code) {
    switch error {
    case .noSuch(let message): self.init(missing, message)
    case .invalid(let message): self.init(.invalid, message)
    case .service(let error): self.init(error)
    case .failed(let message): self.init(.failed, message)
    }
  }

  package init(_ error: MediaHubError) {
    switch error {
    case .unreachable(let message): self.init(.serviceUnreachable, message)
    case .refused(let message): self.init(.serviceRefused, message)
    case .malformed(let message): self.init(.serviceMalformed, message)
    case .notFound(let message): self.init(.noSuchFile, message)
    }
  }

  /// Of whatever an operation threw. Errors of unknown make are not shown: their text was not written for people.
  package init(thrown error: any Error, missing: Code) {
    switch error {
    case let error as ControlError: self = error
    case let error as StagingError: self.init(error, missing: missing)
    case let error as MediaHubError: self.init(error)
    case let error as ShimHostError: self.init(.failed, error.description)
    default: self.init(.failed, "the control plane could not do that; its log says more")
    }
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
