import Wire

/// What `fsmvp status` shows of the mount.
package struct ShimFigures: Codable, Equatable, Sendable {
  package var pid: Int32
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
