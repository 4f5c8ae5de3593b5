import Core
import Volume

/// A volume whose life the control plane leads. The `Mount` of the control plane makes the calls, in this order, on the
/// dispatch loop.
@DispatchLoop
package protocol MountedVolume: Volume, Sendable {
  /// The mount stands. If shims of a control plane that died were adopted, `inherit` was called before.
  func begin() async
  /// No new work; every waiting read and open is answered. The mount still stands.
  func stop()
  /// The mount is gone.
  /// - Parameter forget: the volume's lists go too, as `fsmvp stop --forget` wants it.
  func remove(forget: Bool) async
}
