import ControlClient
import ControlModel

/// Why no window was opened: one sentence with what to do, and the exit code, which is `fsmvp`'s for the same thing. It
/// is a plain value.
struct TileFailure: Error, Equatable {
  enum Code: Int32 {
    /// No display, or something that should not happen.
    case failed = 1
    /// The command line or the configuration is wrong.
    case usage = 2
    case noControlPlane = 3
    case noSuchItem = 4
  }

  var code: Code
  var message: String

  init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  init(_ failure: ClientFailure) {
    switch failure.kind {
    case .usage: self.init(.usage, failure.message)
    case .noControlPlane, .refused(code: ControlError.Code.stopping.rawValue):
      self.init(.noControlPlane, failure.message)
    case .failed, .refused: self.init(.failed, failure.message)
    }
  }
}
