import Core
import Glibc
import Wire

/// A person's commands about the shims; one at a time, the others wait. They act through `ShimFleet` and have no state
/// but the turns, on the dispatch loop.
extension ShimHost {
  private static let limit = Duration.seconds(15)

  /// The active shim finishes what its workers hold and hands over to a fresh one. Returns once the successor serves.
  package func restartShim() async throws(ShimHostError) {
    try await commands.inTurn { () throws(ShimHostError) in try await self.handOver() }
  }

  /// Kills the active shim, without a word to it. Returns once its successor serves.
  package func killShim() async throws(ShimHostError) {
    try await commands.inTurn { () throws(ShimHostError) in
      let epoch = try await self.serving()
      self.fleet.killActive()
      try await self.replaced(after: epoch)
    }
  }

  /// Replaces both shims by the program that is on disk now: a new standby beside the old one, the old one ended, then
  /// the active one hands over, and another standby is started behind it. Returns once the new one serves.
  package func replaceShims() async throws(ShimHostError) {
    try await commands.inTurn { () throws(ShimHostError) in
      _ = try await self.serving()
      let old = self.fleet.shims.filter { $0 !== self.fleet.current }
      self.fleet.want(another: true)
      try await self.reaches("no new shim was ready") {
        self.fleet.shims.contains { new in new !== self.fleet.current && !old.contains { $0 === new } }
      }
      for shim in old { shim.kill(SIGKILL) }
      try await self.reaches("an old standby did not end") { old.allSatisfy { !$0.isRunning } }
      try await self.handOver()
    }
  }

  // MARK: Steps

  private func handOver() async throws(ShimHostError) {
    let epoch = try await serving()
    fleet.want(another: false)
    // Registered: it has made ready and waits for the end of the active one.
    try await reaches("no standby was ready") {
      let standby = self.channel?.region.standby
      return self.fleet.shims.contains { $0 !== self.fleet.current && $0.isRunning && $0.identity == standby }
    }
    fleet.drain()
    try await replaced(after: epoch)
  }

  /// The epoch of the shim that serves now, and that can be talked to.
  private func serving() async throws(ShimHostError) -> UInt64 {
    try await reaches("none could be talked to") { self.hasServingShim }
    return channel?.region.epoch ?? 0
  }

  /// The one we know of is the one that serves, and it can be talked to; how long the last outage took stands in the
  /// region by then.
  private var hasServingShim: Bool { fleet.active != nil && fleet.active == channel?.region.active && link.isOpen }

  private func replaced(after epoch: UInt64) async throws(ShimHostError) {
    try await reaches("no successor served") { (self.channel?.region.epoch ?? 0) > epoch && self.hasServingShim }
  }

  private func reaches(_ otherwise: String, _ condition: () -> Bool) async throws(ShimHostError) {
    let isReached = await holds(within: Self.limit) { if case .serving = phase { condition() } else { true } }
    switch phase {
    case .serving: break
    case .failed(let reason, _): throw .notReplaced(reason)
    case .idle, .starting, .stopping, .ended: throw .stopped
    }
    guard isReached else {
      throw .notReplaced(fleet.supervision?.shortage ?? "\(otherwise) within \(Int(Self.limit.seconds)) s")
    }
  }
}

/// Lets one command at a time run. Each `ShimHost` has one, `commands`.
@DispatchLoop
final class Turns {
  private var isTaken = false

  func inTurn(_ body: () async throws(ShimHostError) -> Void) async throws(ShimHostError) {
    while isTaken { await pause(.milliseconds(5)) }
    isTaken = true
    defer { isTaken = false }
    try await body()
  }
}
