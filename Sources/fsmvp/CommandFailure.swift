import ControlClient
import ControlModel

/// What the exit codes mean; part of the command line's contract.
enum ExitCode: Int32, Sendable {
  case done = 0
  case failed = 1
  /// The command line (or the configuration) is wrong.
  case usage = 2
  case noControlPlane = 3
  case noSuchThing = 4
  /// The service refused, is unreachable, or answers nonsense.
  case service = 5

  /// Of an error of the API.
  init(api code: String) {
    switch ControlError.Code(rawValue: code) {
    case .invalid: self = .usage
    case .noSuchItem, .noSuchFile: self = .noSuchThing
    case .serviceUnreachable, .serviceRefused, .serviceMalformed: self = .service
    case .stopping: self = .noControlPlane
    case .forbidden, .noSuchRoute, .methodNotAllowed, .tooLarge, .failed, nil: self = .failed
    }
  }
}

/// Why a verb did not do what it was asked: one sentence with what to do, and the exit code.
struct CommandFailure: Error, Equatable {
  var code: ExitCode
  var message: String

  init(_ code: ExitCode, _ message: String) {
    self.code = code
    self.message = message
  }

  init(_ failure: ClientFailure) {
    switch failure.kind {
    case .usage: self.init(.usage, failure.message)
    case .noControlPlane: self.init(.noControlPlane, failure.message)
    case .failed: self.init(.failed, failure.message)
    case .refused(let code): self.init(ExitCode(api: code), failure.message)
    }
  }
}
