import Core
import Glibc

/// An eventfd. The producer stores first and rings afterwards; the consumer clears first and looks afterwards: then
/// nothing is missed. The descriptor is shared with the shims; `Channel` has the two of a mount. Any thread may ring,
/// none waits.
package struct Doorbell: Sendable {
  private let descriptor: OwnedDescriptor
  package init(_ descriptor: OwnedDescriptor) { self.descriptor = descriptor }
  package var number: Int32 { descriptor.number }

  /// A ring must never wait, so a bell that would is not taken from the other side.
  package var isNonBlocking: Bool {
    let flags = fcntl(number, F_GETFL)
    return flags >= 0 && flags & O_NONBLOCK != 0
  }

  /// From any thread. A full counter (EAGAIN) is a bell that rings already.
  package func ring() {
    var one: UInt64 = 1
    while write(number, &one, 8) < 0, errno == EINTR {}
  }

  package func clear() {
    var count: UInt64 = 0
    while read(number, &count, 8) < 0, errno == EINTR {}
  }
}
