import CHTTPD
import Core
import Glibc

/// One listener to the events: where it is in their row, and the bytes on their way to it. libmicrohttpd asks for them when the connection has room.
@DispatchLoop
final class EventClient {
  /// Asked for at once.
  private static let portion = 32 << 10
  private static let comment: [UInt8] = Array(":\n\n".utf8)

  private(set) weak var server: ControlServer?
  private let hub: EventHub
  private var connection: OpaquePointer?
  /// The number of the event it is to get next; nil: a snapshot first.
  var next: UInt64?
  private var pending: [UInt8] = []
  private var offset = 0
  private(set) var isWaiting = false
  private var wantsBeat = false

  init(connection: OpaquePointer?, hub: EventHub, server: ControlServer) {
    self.connection = connection
    self.hub = hub
    self.server = server
  }

  var hasSomething: Bool { offset < pending.count || wantsBeat || hub.hasEvents(from: next) }

  /// A comment for a connection on which nothing goes.
  func beat() { wantsBeat = isWaiting }

  func resume() {
    guard isWaiting, let connection else { return }
    isWaiting = false
    MHD_resume_connection(connection)
  }

  /// The connection is gone, or about to.
  func end() {
    connection = nil
    isWaiting = false
    hub.remove(self)
  }

  /// The answer that goes on as long as both ends live.
  func makeResponse() -> OpaquePointer? {
    // Released by the response, which libmicrohttpd destroys once it is done with it.
    let context = Unmanaged.passRetained(self).toOpaque()
    let response = MHD_create_response_from_callback(
      .max, Self.portion,
      { @Sendable context, _, buffer, room in EventClient.read(context, buffer, room) }, context,
      { @Sendable context in
        guard let context else { return }
        Unmanaged<EventClient>.fromOpaque(context).release()
      })
    if response == nil { Unmanaged<EventClient>.fromOpaque(context).release() }
    return response
  }

  private nonisolated static func read(
    _ context: UnsafeMutableRawPointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ room: Int
  ) -> Int {
    guard let context, let buffer else { return -1 }
    let client = Unmanaged<EventClient>.fromOpaque(context).takeUnretainedValue()
    nonisolated(unsafe) let target = UnsafeMutableRawBufferPointer(start: buffer, count: room)
    return DispatchLoop.assumeIsolated { client.fill(target) }
  }

  /// - Returns: how many bytes; 0: none yet, and the connection is suspended; -1: the end.
  private func fill(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
    if offset == pending.count {
      (pending, offset) = ([], 0)
      if hub.isEnded { return -1 }
      if let text = hub.events(from: &next, limit: Self.portion) {
        pending = text
      } else if wantsBeat {
        pending = Self.comment
      }
      wantsBeat = false
    }
    guard offset < pending.count else {
      isWaiting = true
      MHD_suspend_connection(connection)
      return 0
    }
    let count = min(buffer.count, pending.count - offset)
    pending.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count])) }
    offset += count
    return count
  }
}
