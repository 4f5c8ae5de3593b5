import ControlModel
import MediaHub
import ShimHost
import Staging

extension ControlError {
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
}
