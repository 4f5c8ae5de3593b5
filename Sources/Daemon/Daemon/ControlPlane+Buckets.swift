import Buckets
import ControlAPI
import ControlModel
import Core
import EventLoop
import MediaHubSim
import Settings
import Telemetry

/// The bucket server beside the mounts: opened while they start, stopped after them. It has threads of its own; all
/// that runs on the dispatch loop here is the composition.
extension ControlPlane {
  /// Begins to open the buckets, on a worker thread; the mounts do not wait for that.
  func beginOpeningBuckets() {
    let folder = service.settings.stateFolder + "/buckets"
    let (runtime, node, options) = (folders.runtime, folders.instance, service.bucketOptions)
    opening = Task { @DispatchLoop in
      await onWorker {
        BucketServer(folder: folder, runtime: runtime, nodeID: node, version: Version.current, options: options)
      }
    }
  }

  /// Waits until they are open. In the demo there is a bucket to look at.
  func finishOpeningBuckets() async {
    guard let server = await opening?.value else { return }
    buckets = server
    guard service.simulator != nil else { return }
    let failure = await onWorker { () -> BucketError? in
      do throws(BucketError) { try server.seed(Demo.bucket, files: Demo.files) } catch { return error }
      return nil
    }
    if let failure { Log.error(.bucketsFailed, ["cause": failure.sentence]) }
  }

  /// Connections of the API's Unix socket that are for a bucket.
  var bucketAdopter: ConnectionAdopter {
    let server = buckets
    return ConnectionAdopter(prefixes: BucketRoutes.prefixes) { server?.adopt($0) }
  }

  var bucketReport: ControlStatus.Buckets? {
    buckets.map(\.report).map { ControlStatus.Buckets(socket: $0.socket, listen: $0.listen, problem: $0.problem) }
  }

  func restoreBucketSockets() async {
    guard let buckets else { return }
    await onWorker { buckets.restoreSockets() }
  }

  /// After the mounts, which may use it until their end.
  func stopBuckets() async {
    guard let server = await opening?.value else { return }
    await onWorker { server.stop() }
  }
}

extension Demo {
  static let bucket = "demo"
  static let files = [
    (
      path: "/readme.md",
      text: "# A bucket\n\nFiles in here come and go by HTTP: docs/BUCKETS.md has the requests.\n"
    ),
    (path: "/notes/today.txt", text: "Buy milk, and stage the holiday video for Jane.\n"),
    (path: "/notes/names with spaces & signs #1.txt", text: "Any name that a file may have is a name here.\n"),
    (path: "/data/table.csv", text: "day,steps\n1,8042\n2,11310\n3,4975\n"),
  ]
}
