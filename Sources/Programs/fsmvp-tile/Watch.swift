import CGtk
import ControlClient
import ControlModel
import Synchronization

/// Follows the control plane's events on a thread of its own and hands them to the main loop, as many at once as came
/// meanwhile. `Desk` makes it, once; what came and was not handed over yet is behind a lock.
final class Watch: Sendable {
  private struct Inbox {
    var signs: [EventStream.Sign] = []
    var isPosted = false
  }

  private let inbox = Mutex(Inbox())
  private let client: SocketClient
  private let heard: @MainActor ([EventStream.Sign]) -> Void

  /// - Parameter heard: gets events, and every attempt that failed, in order.
  init(_ client: SocketClient, heard: @escaping @MainActor ([EventStream.Sign]) -> Void) {
    self.client = client
    self.heard = heard
  }

  /// Until the process ends.
  func start() {
    let thread = g_thread_new(
      "events",
      { @Sendable data in
        guard let data else { return nil }
        let watch = Unmanaged<Watch>.fromOpaque(data).takeRetainedValue()
        var stream = EventStream(watch.client)
        stream.follow { sign in
          watch.take(sign)
          return true
        }
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
    g_thread_unref(thread)
  }

  private func take(_ sign: EventStream.Sign) {
    if case .quiet = sign { return }
    let isFirst = inbox.withLock { inbox in
      inbox.signs.append(sign)
      defer { inbox.isPosted = true }
      return !inbox.isPosted
    }
    guard isFirst else { return }
    MainLoop.post { [self] in
      heard(
        inbox.withLock { inbox in
          defer { inbox = Inbox() }
          return inbox.signs
        })
    }
  }
}
