/// The control plane at a glance: `GET /api/v1/status`. Counters count from the start of the process.
package struct ControlStatus: Sendable, Equatable, Codable {
  package struct Shim: Sendable, Equatable, Codable {
    /// 0 while none runs.
    package var pid: Int
    /// The how-manieth shim of this mount serves it.
    package var epoch: Int
    /// Shims that died and were replaced.
    package var restarts: Int

    package init(pid: Int, epoch: Int, restarts: Int) {
      self.pid = pid
      self.epoch = epoch
      self.restarts = restarts
    }
  }

  package var pid: Int
  package var version: String
  package var shim: Shim
  /// The mount point, absolute.
  package var mount: String
  /// The control API's socket, absolute.
  package var socket: String
  package var uptimeSeconds: Int
  /// Staged items.
  package var staged: Int
  package var openHandles: Int
  /// From the origin.
  package var bytesFetched: Int64
  /// Given to the kernel, read-ahead included.
  package var bytesServed: Int64
  /// Reads the shim answered by itself.
  package var readsLeased: Int64
  /// Requests of the kernel that came to the control plane.
  package var requestsForwarded: Int64
  /// How often a request found no free slot in the ring.
  package var slotsFull: Int64
  /// Requests whose reader was interrupted.
  package var cancelled: Int64

  package init(
    pid: Int, version: String = Version.current, shim: Shim, mount: String, socket: String, uptimeSeconds: Int, staged: Int = 0,
    openHandles: Int = 0, bytesFetched: Int64 = 0, bytesServed: Int64 = 0, readsLeased: Int64 = 0, requestsForwarded: Int64 = 0,
    slotsFull: Int64 = 0, cancelled: Int64 = 0
  ) {
    self.pid = pid
    self.version = version
    self.shim = shim
    self.mount = mount
    self.socket = socket
    self.uptimeSeconds = uptimeSeconds
    self.staged = staged
    self.openHandles = openHandles
    self.bytesFetched = bytesFetched
    self.bytesServed = bytesServed
    self.readsLeased = readsLeased
    self.requestsForwarded = requestsForwarded
    self.slotsFull = slotsFull
    self.cancelled = cancelled
  }
}
