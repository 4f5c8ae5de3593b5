import ControlClient
import Syntax

/// A failed request to the control plane as the failure of the verb that made it. It is a pure function.
extension CommandFailure {
  init(_ failure: ClientFailure) {
    switch failure.kind {
    case .usage: self.init(.usage, failure.message)
    case .noControlPlane: self.init(.noControlPlane, failure.message)
    case .failed: self.init(.failed, failure.message)
    case .refused(let code): self.init(ExitCode(api: code), failure.message)
    }
  }
}
