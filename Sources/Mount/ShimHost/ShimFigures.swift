import Wire

/// The mount's status, for `fsmvp status`. It is a value that `ShimHost.figures` makes anew for each question.
package struct ShimFigures: Codable, Equatable, Sendable {
  package enum State: String, Codable, Sendable {
    case serving
    /// No shim serves now, the next one is on its way.
    case replacing
    /// Given up after shims died one after another; `reason` says why, the connection is aborted.
    case failed
  }

  package var state = State.serving
  package var reason: String?
  package var pid: Int32
  /// Process id of the shim that would take over; nil if there is none.
  package var standbyPid: Int32?
  /// From the end of the last shim until its successor served; nil before the first.
  package var lastOutageMilliseconds: Double?
  /// Takeovers, the first shim counted.
  package var epoch: UInt64
  package var restarts: Int
  /// Files open through the mount.
  package var openHandles: Int
  package var leases: Int
  /// Requests taken and not answered.
  package var inHand: Int
  /// Values of the shim out of range, each answered with an error or dropped.
  package var hostile: UInt64
  package var counters: ShimCounters
}

/// Times by operation, then by segment of its way; nanoseconds.
package typealias TraceFigures = [String: [String: HistogramSummary]]
