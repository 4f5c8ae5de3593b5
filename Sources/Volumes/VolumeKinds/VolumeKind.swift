import Core

/// A kind of volume, as the control plane knows it: it is registered by a line in `ControlPlane.kinds`, and mounted by
/// the `Mount` that the line makes. It has the means to open its volume and no state of a mount.
@DispatchLoop
package protocol VolumeKind: Sendable {
  /// Lower-case letters, digits and hyphens, the same in every run: names the volume's folders and the device that `df`
  /// shows.
  nonisolated var name: String { get }
  /// The folder to mount on, absolute; made if missing.
  nonisolated var mountpoint: String { get }
  /// Opens the volume before its mount is there. Work that waits for a disk is done on worker threads.
  /// - Parameter stateFolder: the volume's own, for what has to last; it is there.
  /// - Throws: an error whose text is a sentence for a person.
  func open(stateFolder: String) async throws -> OpenVolume
}
