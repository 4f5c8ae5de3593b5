import CLinux
import Core
import EventLoop
import Glibc
import Telemetry

/// The bucket server of a control plane: the store, the sockets, the threads. The control plane starts and stops it, on
/// threads that may wait, and hands connections over from its loop. A store that cannot be opened leaves a server that
/// says so to everybody.
package final class BucketServer: Sendable {
  package struct Options: Sendable {
    package var listen: BucketAddress?
    package var token: Redacted<String>?
    /// Bytes; 0: no limit.
    package var maxBody: Int64 = 0
    /// 0: all.
    package var keptVersions = 1000

    package init() {}
  }

  /// The server at a glance.
  package struct Report: Sendable, Equatable {
    /// The private Unix socket; absolute. Nil if it cannot be had.
    package var socket: String?
    /// The address of `bucket_listen`: "127.0.0.1:PORT", or a path.
    package var listen: String?
    /// A sentence about what is not as it should be.
    package var problem: String?
  }

  private struct Sockets: Sendable {
    var own: SocketFile?
    var other: SocketFile?
    var report = Report()
  }

  let service: BucketService
  private let daemon: BucketDaemon?
  private let acceptor: BucketAcceptor?
  private let sockets: Monitor<Sockets>

  /// Opens the buckets, or makes the first list of them, and serves. It waits for the disk.
  /// - Parameters:
  ///   - folder: of the buckets; absolute.
  ///   - runtime: the folder of the private socket; absolute.
  ///   - nodeID: tells this control plane from others.
  package init(folder: String, runtime: String, nodeID: String, version: String, options: Options) {
    let store = Result { () throws(BucketStore.Failure) in
      try BucketStore.open(folder: folder, keptVersions: options.keptVersions)
    }
    service = BucketService(store, maxBody: options.maxBody, nodeID: nodeID, version: version)
    var sockets = Sockets()
    if case .failure(let failure) = store { sockets.report.problem = failure.sentence }
    let listening = Self.listen(options, &sockets, socket: runtime + "/buckets.sock")
    var access = BucketAccess(token: options.token)
    for socket in listening where socket.way == .loopback {
      let port = socket.port
      access.hosts = ["127.0.0.1:\(port)", "localhost:\(port)"] + (port == 80 ? ["127.0.0.1", "localhost"] : [])
      access.tellsOwners = clinux_tells_owners(socket.descriptor) != 0
    }
    let acceptor = try? BucketAcceptor()
    let daemon = BucketDaemon(service, access) { acceptor?.wake() }
    (self.acceptor, self.daemon) = (acceptor, daemon)
    let isServing = acceptor?.start(hasRoom: { daemon?.hasRoom ?? false }, take: { daemon?.take($0, $1) }) ?? false
    for socket in listening {
      if isServing, daemon != nil { acceptor?.listen(socket.descriptor, socket.way) } else { close(socket.descriptor) }
    }
    if !isServing || daemon == nil {
      sockets.report = Report(problem: "the bucket server has no thread or descriptor; raise the limits of the process")
    }
    if let problem = sockets.report.problem { Log.error(.bucketsFailed, ["cause": problem]) }
    if let address = sockets.report.listen { Log.info(.bucketsListen, ["address": address]) }
    self.sockets = Monitor(sockets)
  }

  private struct Listening {
    var descriptor: Int32
    var way: BucketAccess.Way
    var port: UInt16 = 0
  }

  private static func listen(_ options: Options, _ sockets: inout Sockets, socket: String) -> [Listening] {
    var listening: [Listening] = []
    do throws(SocketFile.Failure) {
      let file = try SocketFile(path: socket)
      (sockets.own, sockets.report.socket) = (file, socket)
      listening.append(Listening(descriptor: file.descriptor, way: .socket))
    } catch {
      sockets.report.problem = sockets.report.problem ?? "the socket \(socket) cannot be made: \(error.words)"
    }
    switch options.listen {
    case nil: break
    case .unix(let path)?:
      do throws(SocketFile.Failure) {
        let file = try SocketFile(path: path)
        (sockets.other, sockets.report.listen) = (file, path)
        listening.append(Listening(descriptor: file.descriptor, way: .socket))
      } catch {
        sockets.report.problem =
          "the socket \(path) of `bucket_listen` cannot be made: \(error.words); set bucket_listen to another path"
      }
    case .loopback(let port)?:
      var bound: UInt16 = 0
      let descriptor = clinux_listen_loopback(port, &bound)
      if descriptor >= 0 {
        sockets.report.listen = "127.0.0.1:\(bound)"
        listening.append(Listening(descriptor: descriptor, way: .loopback, port: bound))
      } else {
        sockets.report.problem =
          "port \(port) of 127.0.0.1 cannot be had: \(Errno.current); set bucket_listen (FSMVP_BUCKET_LISTEN) to "
          + "another port, or to 127.0.0.1:0"
      }
    }
    return listening
  }

  package var report: Report { sockets.withLock(\.report) }

  /// Takes over a connection whose first request is for a bucket; nothing has been read of it. Callable from the loop:
  /// it does not wait.
  package func adopt(_ connection: Int32) {
    if let daemon { daemon.take(connection, .handed) } else { close(connection) }
  }

  /// Binds sockets again whose names were removed. It waits for the disk.
  package func restoreSockets() {
    for key in [\Sockets.own, \Sockets.other] {
      guard let file = sockets.withLock({ $0[keyPath: key] }), !file.isNamed,
        let fresh = try? SocketFile(path: file.path)
      else { continue }
      sockets.withLock { $0[keyPath: key] = fresh }
      acceptor?.listen(fresh.descriptor, .socket, inPlaceOf: file.descriptor)
      Log.warning(.bucketsRestored, ["socket": file.path])
    }
  }

  /// Takes no more connections, gives requests under way `grace`, commits what waits, and closes the files. It waits.
  package func stop(grace: Duration = .milliseconds(500)) {
    // The names go first: a client that connects from now on finds no server.
    sockets.withLock { sockets in
      sockets.own?.unlinkName()
      sockets.other?.unlinkName()
    }
    acceptor?.stop()
    daemon?.refuse()
    service.store?.followers.close()
    daemon?.stop(by: SystemClock().now() + grace)
    service.store?.close()
  }
}

extension SocketFile.Failure {
  fileprivate var words: String {
    switch self {
    case .inUse: "another process listens there"
    case .notASocket: "something that is no socket has that name"
    case .failed(let error) where error.code == ENAMETOOLONG: "the path is too long for a socket"
    case .failed(let error): "\(error)"
    }
  }
}
