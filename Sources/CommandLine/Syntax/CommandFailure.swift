import ControlModel

/// The exit codes, which are part of the command line's contract.
package enum ExitCode: Int32, Sendable {
  case done = 0
  case failed = 1
  /// The command line (or the configuration) is wrong.
  case usage = 2
  case noControlPlane = 3
  case noSuchThing = 4
  /// The service refused, is unreachable, or answers nonsense.
  case service = 5
  /// The machine lacks something, or a limit is too low (EX_TEMPFAIL of sysexits.h).
  case shortage = 75

  /// The exit code for an error code of the API.
  package init(api code: String) {
    switch ControlError.Code(rawValue: code) {
    case .invalid: self = .usage
    case .noSuchItem, .noSuchFile: self = .noSuchThing
    case .serviceUnreachable, .serviceRefused, .serviceMalformed, .noCredentials: self = .service
    case .stopping: self = .noControlPlane
    case .unauthorized, .forbidden, .noSuchRoute, .methodNotAllowed, .tooLarge, .misdirected, .busy, .failed, nil:
      self = .failed
    }
  }
}

/// Why a verb did not do what it was asked: one sentence with what to do, and the exit code. It is a plain value.
package struct CommandFailure: Error, Equatable {
  package var code: ExitCode
  package var message: String

  package init(_ code: ExitCode, _ message: String) {
    self.code = code
    self.message = message
  }
}
