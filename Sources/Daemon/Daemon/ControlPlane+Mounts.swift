import VolumeKinds

/// The volumes that are mounted beside the staged files. All of it runs on the dispatch loop. `ControlPlane` owns the
/// list of mounts, and each `Mount` the state of its own.
extension ControlPlane {
  /// A line for each kind of volume. The staged files are none of them: they share cache and window with the start of
  /// the control plane.
  var kinds: [any VolumeKind] { [] }

  /// Mounts the volume; the mount is the control plane's to stop from then on, though the start failed.
  func start(_ mount: Mount) async throws {
    mounts.append(mount)
    mount.host.onShimEnd = { [weak self] cause in self?.shimEnded(cause) }
    try await mount.start()
  }
}
