import Core
import Glibc
import Wire

/// Orders of a person about the shims; one at a time, the others wait.
extension ShimHost {
  private static let limit = Duration.seconds(15)

  /// The active shim finishes what its workers hold and hands over to a fresh one. Returns once the successor serves.
  package func restartShim() async throws(ShimHostError) {
    try await inTurn { () throws(ShimHostError) in try await self.handOver() }
  }

  /// Kills the active shim, without a word to it. Returns once its successor serves.
  package func killShim() async throws(ShimHostError) {
    try await inTurn { () throws(ShimHostError) in
      let epoch = try await self.serving()
      guard let process = self.process, let region = self.region else { throw .stopped }
      region.noteKill()
      process.kill(SIGKILL)
      try await self.replaced(after: epoch)
    }
  }

  /// Replaces both shims by the program that is on disk now: a new standby beside the old one, the old one ended, then the active one hands over,
  /// and another standby is started behind it. Returns once the new one serves.
  package func replaceShims() async throws(ShimHostError) {
    try await inTurn { () throws(ShimHostError) in
      _ = try await self.serving()
      let old = self.shims.filter { $0 !== self.process }
      self.supervise(.wanted(another: true))
      try await self.reaches("no new shim was ready") {
        self.shims.contains { new in new !== self.process && !old.contains { $0 === new } }
      }
      for shim in old { shim.kill(SIGKILL) }
      try await self.reaches("an old standby did not end") { old.allSatisfy { !$0.isRunning } }
      try await self.handOver()
    }
  }

  // MARK: Steps

  private func inTurn(_ body: () async throws(ShimHostError) -> Void) async throws(ShimHostError) {
    while isOrdered { await pause(.milliseconds(5)) }
    isOrdered = true
    defer { isOrdered = false }
    try await body()
  }

  private func handOver() async throws(ShimHostError) {
    let epoch = try await serving()
    supervise(.wanted(another: false))
    // Registered: it has made ready and waits for the end of the active one.
    try await reaches("no standby was ready") {
      let standby = self.region?.standby
      return self.shims.contains { $0 !== self.process && $0.isRunning && $0.who == standby }
    }
    supervise(.drain)
    try await replaced(after: epoch)
  }

  /// The epoch of the shim that serves now, and that can be talked to.
  private func serving() async throws(ShimHostError) -> UInt64 {
    try await reaches("none could be talked to") { self.hasServingShim }
    return region?.epoch ?? 0
  }

  /// The one we know of is the one that serves, and it can be talked to; how long the last outage took stands in the region by then.
  private var hasServingShim: Bool { supervision?.active != nil && supervision?.active == region?.active && link != nil }

  private func replaced(after epoch: UInt64) async throws(ShimHostError) {
    try await reaches("no successor served") { (self.region?.epoch ?? 0) > epoch && self.hasServingShim }
  }

  private func reaches(_ otherwise: String, _ condition: () -> Bool) async throws(ShimHostError) {
    let isReached = await holds(within: Self.limit) { phase != .serving || condition() }
    guard phase == .serving else { throw failure.map { .notReplaced($0) } ?? .stopped }
    guard isReached else { throw .notReplaced("\(otherwise) within \(Int(Self.limit.seconds)) s") }
  }
}
