import ControlRoutes
import Core
import EventLoop
import ShimHost
import VolumeKinds

/// One mounted volume of the control plane: the volume, its shims and its part of the API. Owns none of their state.
/// `ControlPlane` has the list of mounts; all runs on the dispatch loop, but for folders, which are made on a worker
/// thread.
@DispatchLoop
final class Mount {
  let volume: any MountedVolume
  let host: ShimHost
  let routes: RouteGroup
  /// The shims that a control plane that died left at this mount.
  private let survivor: Survivor?

  init(_ opened: OpenVolume, options: ShimHost.Options, survivor: Survivor?) {
    volume = opened.volume
    routes = opened.routes
    var options = options
    options.roots = opened.roots
    host = ShimHost(options: options, volume: opened.volume)
    self.survivor = survivor
  }

  /// Opens a volume of a kind. It has a folder of its own in the runtime folder and in the state folder.
  /// - Parameters:
  ///   - options: of a mount whose rules for shims, but nothing else, are this one's.
  ///   - state: the folder in which the volume's state folder is made.
  static func open(_ kind: any VolumeKind, like options: ShimHost.Options, state: String) async throws -> Mount {
    var options = options
    options.mountpoint = kind.mountpoint
    options.fsname += "-\(kind.name)"
    options.runtimeFolder += "/\(kind.name)"
    options.window = nil
    let stateFolder = "\(state)/\(kind.name)"
    options.volumeID = StableHash(stateFolder).value
    let survivor = try await prepare(runtime: options.runtimeFolder, state: stateFolder).get()
    return Mount(try await kind.open(stateFolder: stateFolder), options: options, survivor: survivor)
  }

  private static func prepare(runtime: String, state: String) async -> Result<Survivor?, StartError> {
    await withCheckedContinuation { continuation in
      EventLoop.dispatch.background({
        Result { () throws(StartError) in
          try Folders.makeRuntime(runtime)
          try Folders.make(state, "state_dir")
          do throws(ShimHostError) { return try Survivor.find(in: runtime).get() } catch {
            throw StartError(error.description)
          }
        }
      }) { continuation.resume(returning: $0) }
    }
  }

  /// Mounts the volume, or takes over the mount that the survivor serves.
  func start() async throws {
    try await host.start(adopting: survivor)
    // An adopted shim's state has reached the volume by now.
    await volume.begin()
  }
}
