/// The answer to `GET /healthz`: that there is one. Both types are plain values.
package struct Health: Sendable, Equatable, Codable {
  package var status = "ok"

  package init() {}
}

/// The answer to `GET /readyz`: whether paths can be read.
package struct Readiness: Sendable, Equatable, Codable {
  package enum State: String, Sendable, Codable {
    case ready
    case starting
    /// No shim serves, the next one is on its way.
    case replacing
    case stopping
    /// The mount is lost.
    case failed
  }

  package var status: State

  package init(_ status: State) { self.status = status }

  package init(_ state: ControlStatus.Shim.State) {
    switch state {
    case .starting: status = .starting
    case .serving: status = .ready
    case .replacing: status = .replacing
    case .failed: status = .failed
    }
  }
}
