import ControlModel

/// Why a request was not done: one sentence with what to do, and whose fault it is. It is a value without state.
package struct ClientFailure: Error, Sendable, Equatable {
  package enum Kind: Sendable, Equatable {
    /// The call was wrong; no request was sent.
    case usage
    /// No process listens at the socket.
    case noControlPlane
    /// No answer came, or none that is understood.
    case failed
    /// The control plane said no; one of `ControlError.Code`, or of a later version.
    case refused(code: String)
  }

  package var kind: Kind
  package var message: String

  package init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }
}
