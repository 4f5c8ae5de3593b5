import CHTTPD
import Core

/// The next piece of a body.
enum BodyPiece: Equatable {
  case bytes([UInt8])
  /// Nothing yet: the source calls `BodyPump.wake` once there is something.
  case later
  case end
}

/// A body that is made while it is sent.
@DispatchLoop
protocol BodySource: AnyObject {
  /// Called from inside libmicrohttpd whenever the connection has room. It may not call back into the listener.
  func piece() -> BodyPiece
  /// The connection is gone, or the daemon is about to end.
  func end()
}

/// A body whose pieces come from elsewhere.
@DispatchLoop
protocol WakingBody: BodySource {
  /// Called on the loop, out of libmicrohttpd, when `piece` has something after a `later`.
  var ready: () -> Void { get set }
}

/// Moves the pieces of a body to a connection. It holds one piece at a time, so a client that takes nothing costs no
/// more than that. libmicrohttpd asks for bytes when the connection has room; the connection is suspended while there
/// are none. The request's `Exchange` owns it, on the dispatch loop, and it touches nothing but memory.
@DispatchLoop
final class BodyPump {
  /// Asked for at once, in bytes.
  private static let portion = 32 << 10

  let source: any BodySource
  private(set) weak var listener: Listener?
  private var connection: OpaquePointer?
  private var pending: [UInt8] = []
  private var offset = 0
  private(set) var isWaiting = false
  private var isBroken = false

  init(_ source: any BodySource, connection: OpaquePointer?, listener: Listener?) {
    self.source = source
    self.connection = connection
    self.listener = listener
  }

  /// Goes on with the daemon's next turn.
  func resume() {
    guard isWaiting, let connection else { return }
    isWaiting = false
    MHD_resume_connection(connection)
  }

  /// The same, with that turn. Never from inside libmicrohttpd.
  func wake() {
    guard isWaiting else { return }
    resume()
    listener?.turn()
  }

  /// Cuts the body short: libmicrohttpd may not end while a connection is suspended.
  func cut() {
    isBroken = true
    resume()
  }

  func end() {
    connection = nil
    isWaiting = false
    source.end()
  }

  /// - Parameter size: in bytes; nil: the body ends when the source does.
  func makeResponse(size: Int? = nil) -> OpaquePointer? {
    // Released by the response, which libmicrohttpd destroys once it is done with it.
    let context = Unmanaged.passRetained(self).toOpaque()
    let response = MHD_create_response_from_callback(
      size.map(UInt64.init) ?? .max, Self.portion,
      { @Sendable context, _, buffer, room in BodyPump.read(context, buffer, room) }, context,
      { @Sendable context in
        guard let context else { return }
        Unmanaged<BodyPump>.fromOpaque(context).release()
      })
    if response == nil { Unmanaged<BodyPump>.fromOpaque(context).release() }
    return response
  }

  private nonisolated static func read(
    _ context: UnsafeMutableRawPointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ room: Int
  ) -> Int {
    guard let context, let buffer else { return -2 }
    let pump = Unmanaged<BodyPump>.fromOpaque(context).takeUnretainedValue()
    nonisolated(unsafe) let target = UnsafeMutableRawBufferPointer(start: buffer, count: room)
    return DispatchLoop.assumeIsolated { pump.fill(target) }
  }

  /// - Returns: how many bytes; 0: none yet, and the connection is suspended; -1: the end; -2: it is cut.
  func fill(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard !isBroken else { return -2 }
    // A piece may be empty; nothing would wake a connection that waits after it.
    while offset == pending.count {
      switch source.piece() {
      case .bytes(let bytes): (pending, offset) = (bytes, 0)
      case .later:
        (pending, offset) = ([], 0)
        isWaiting = true
        MHD_suspend_connection(connection)
        return 0
      case .end: return -1
      }
    }
    let count = min(buffer.count, pending.count - offset)
    pending.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count])) }
    offset += count
    return count
  }
}

/// Bytes that are there already, and too many to be copied at once.
@DispatchLoop
final class BytesBody: BodySource {
  private var bytes: [UInt8]?

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  func piece() -> BodyPiece {
    defer { bytes = nil }
    return bytes.map { .bytes($0) } ?? .end
  }

  func end() { bytes = nil }
}
