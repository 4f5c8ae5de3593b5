import ControlModel
import Core
import Telemetry

/// The control plane as its own routes and events see it; the routes' tests have a fake. `ControlPlane` has the state;
/// all calls are on the dispatch loop.
@DispatchLoop
protocol DaemonOperations: AnyObject, Sendable {
  func status() async throws -> ControlStatus
  /// The status at once.
  func glance() -> ControlStatus
  /// Nil before there is a mount.
  func readTimes() -> ReadTimes?
  func trace() async throws -> TraceReport
  /// The settings of the start; no secret.
  func configuration() -> [SettingEntry]
  /// Sets the log level of the control plane and of the shims, for as long as this process runs.
  func setLogLevel(_ level: Log.Level)
  /// The active shim hands over to a fresh one. Returns once that one serves.
  func restartShim() async throws -> ShimReply
  /// The active shim is killed. Returns once its successor serves.
  func killShim() async throws -> ShimReply
  /// Finds out whether the programs on disk can take over. If they can, `replaceImage` follows once the answer has gone
  /// out.
  func reload() async throws -> ReloadReply
  /// The answer to an accepted reload has gone out, or its client has.
  func replaceImage()
  /// Begins to stop and returns; the server goes on answering until the code that stops the process closes it
  /// (`ControlServer.close`).
  /// - Parameter forget: also drops the list of staged items.
  func stop(forget: Bool) async throws
}
