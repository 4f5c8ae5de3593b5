/// The control plane at a glance: `GET /api/v1/status`. Counters count from the start of the process. It is a plain
/// value, made anew for each answer.
package struct ControlStatus: Sendable, Equatable, Codable {
  package struct Shim: Sendable, Equatable, Codable {
    package enum State: String, Sendable, Codable {
      /// Before the mount is there.
      case starting
      case serving
      /// No shim serves, the next one is on its way.
      case replacing
      /// Given up; `reason` says why.
      case failed
    }

    package var state: State
    /// A sentence: the cause of `failed`; in other states, what the machine lacks, while no shim can be started because
    /// of that.
    package var reason: String?
    /// 0 while none runs.
    package var pid: Int
    /// The how-manieth shim of this mount serves it.
    package var epoch: Int
    /// Shims that died and were replaced.
    package var restarts: Int
    /// Process id of the shim that would take over; nil if there is none.
    package var standbyPid: Int?
    /// Time without a serving shim at the last replacement; nil before that.
    package var lastOutageMilliseconds: Double?

    package init(
      state: State, reason: String? = nil, pid: Int, epoch: Int, restarts: Int, standbyPid: Int? = nil,
      lastOutageMilliseconds: Double? = nil
    ) {
      self.state = state
      self.reason = reason
      self.pid = pid
      self.epoch = epoch
      self.restarts = restarts
      self.standbyPid = standbyPid
      self.lastOutageMilliseconds = lastOutageMilliseconds
    }
  }

  /// The last time the running programs were replaced by those on disk.
  package struct Reload: Sendable, Equatable, Codable {
    package enum State: String, Sendable, Codable {
      /// The control plane is new; its shims are being replaced.
      case replacing
      case done
      /// `reason` says what is not new.
      case failed
    }

    /// How many there were in this process.
    package var count: Int
    package var state: State
    /// A sentence, if `state` is `failed`.
    package var reason: String?

    package init(count: Int, state: State, reason: String? = nil) {
      self.count = count
      self.state = state
      self.reason = reason
    }
  }

  /// The MediaHub that is asked.
  package struct Service: Sendable, Equatable, Codable {
    package enum State: String, Sendable, Codable {
      /// An embedded one, with made-up videos.
      case demo
      /// Credentials are set; whether they are right is not said.
      case set
      /// No credentials are set: there are no jobs and nothing can be staged.
      case missing
    }

    package var state: State
    /// With a port where it is an unusual one.
    package var host: String
    /// The file that credentials are read from, or the one to make. Absolute.
    package var configFile: String

    /// A sentence while it asked to be left alone and nothing is sent to it; else missing.
    package var rest: String?

    package init(state: State, host: String, configFile: String) {
      self.state = state
      self.host = host
      self.configFile = configFile
    }
  }

  /// The bucket server.
  package struct Buckets: Sendable, Equatable, Codable {
    /// The Unix socket of the buckets alone, absolute; missing if it cannot be had.
    package var socket: String?
    /// The address of `bucket_listen`: `127.0.0.1:PORT`, or the path of a Unix socket; missing without one.
    package var listen: String?
    /// A sentence about what is not as it should be; else missing.
    package var problem: String?

    package init(socket: String?, listen: String?, problem: String?) {
      self.socket = socket
      self.listen = listen
      self.problem = problem
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
  /// Missing before the first.
  package var reload: Reload?
  /// Staged items.
  package var staged: Int
  package var openHandles: Int
  /// Whether the machine is kept from going to sleep, as files are open; missing from an older control plane.
  package var sleepInhibited: Bool?
  /// From the origin.
  package var bytesFetched: Int64
  /// Given to the kernel, read-ahead included.
  package var bytesServed: Int64
  /// Reads the shim answered by itself.
  package var readsLeased: Int64
  /// Requests of the kernel that came to the control plane.
  package var requestsForwarded: Int64
  /// How often a request found no free slot in the ring and waited for one.
  package var slotsFull: Int64
  /// Requests whose reader was interrupted.
  package var cancelled: Int64
  /// Missing from a control plane of an earlier version.
  package var service: Service?
  /// The page's address for a browser, `http://127.0.0.1:PORT`; missing while 127.0.0.1 is not listened to.
  package var web: String?
  /// Missing from a control plane of an earlier version.
  package var buckets: Buckets?
  /// The log's level: "debug", "info", "warning" or "error".
  package var logLevel: String?

  package init(
    pid: Int, version: String = Version.current, shim: Shim, mount: String, socket: String, uptimeSeconds: Int,
    reload: Reload? = nil, staged: Int = 0, openHandles: Int = 0, bytesFetched: Int64 = 0, bytesServed: Int64 = 0,
    readsLeased: Int64 = 0,
    requestsForwarded: Int64 = 0,
    slotsFull: Int64 = 0, cancelled: Int64 = 0
  ) {
    self.pid = pid
    self.version = version
    self.shim = shim
    self.mount = mount
    self.socket = socket
    self.uptimeSeconds = uptimeSeconds
    self.reload = reload
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
