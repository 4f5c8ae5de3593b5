import ControlRoutes

/// A volume that can be mounted, with all that the control plane has to know of it. It is a value: a `VolumeKind` makes
/// it, or the control plane for the staged files, and the `Mount` takes it apart.
package struct OpenVolume {
  package let volume: any MountedVolume
  /// Folders of backing files, by the numbers that the volume's leases use; they stay the volume's.
  package let roots: [Int32]
  /// The volume's part of the control API.
  package let routes: RouteGroup

  package init(_ volume: any MountedVolume, roots: [Int32], routes: RouteGroup) {
    self.volume = volume
    self.roots = roots
    self.routes = routes
  }
}
