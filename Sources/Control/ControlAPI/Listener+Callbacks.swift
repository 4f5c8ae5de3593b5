import CHTTPD
import Core

/// The callbacks of libmicrohttpd, on the loop's thread, from inside `Listener.turn`. They find the `Listener` and the
/// `Exchange` by libmicrohttpd's pointers and have no state.
extension Listener {
  /// - Parameter context: an unretained listener, which outlives its daemon.
  static func makeDaemon(_ limits: Limits, context: UnsafeMutableRawPointer) -> OpaquePointer? {
    var options = chttpd_loop_options()
    // More than are ever handed over.
    options.connection_limit = limits.connections + 1
    options.idle_seconds = limits.idleSeconds
    options.begun = { @Sendable context, target, connection in Listener.begun(context, target, connection) }
    options.completed = { @Sendable context, _, state, _ in Listener.completed(context, state) }
    options.connected = { @Sendable context, connection, _, what in Listener.connected(context, connection, what) }
    options.context = context
    return chttpd_loop_start(
      { @Sendable context, _, _, method, _, bytes, count, state in Listener.called(context, method, bytes, count, state)
      }, &options)
  }

  private nonisolated static func listener(_ context: UnsafeMutableRawPointer?) -> Listener? {
    context.map { Unmanaged<Listener>.fromOpaque($0).takeUnretainedValue() }
  }

  private nonisolated static func connected(
    _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?, _ what: MHD_ConnectionNotificationCode
  ) {
    guard let listener = listener(context), let connection else { return }
    nonisolated(unsafe) let theirs = connection
    DispatchLoop.assumeIsolated {
      if what == .CONNECTION_NOTIFY_STARTED { listener.came(theirs) } else { listener.went(theirs) }
    }
  }

  private nonisolated static func begun(
    _ context: UnsafeMutableRawPointer?, _ target: UnsafePointer<CChar>?, _ connection: OpaquePointer?
  ) -> UnsafeMutableRawPointer? {
    nonisolated(unsafe) let connection = connection
    let text = target.flatMap { String(validatingCString: $0) }
    guard let listener = listener(context) else { return nil }
    nonisolated(unsafe) var state: UnsafeMutableRawPointer?
    DispatchLoop.assumeIsolated {
      let exchange = Exchange(target: text, connection: connection, listener: listener)
      listener.begin(exchange)
      // Released by `completed`.
      state = Unmanaged.passRetained(exchange).toOpaque()
    }
    return state
  }

  private nonisolated static func completed(
    _ context: UnsafeMutableRawPointer?, _ state: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
  ) {
    guard let pointer = state?.pointee else { return }
    state?.pointee = nil
    let exchange = Unmanaged<Exchange>.fromOpaque(pointer).takeRetainedValue()
    guard let listener = listener(context) else { return }
    DispatchLoop.assumeIsolated { listener.finish(exchange) }
  }

  private nonisolated static func called(
    _ context: UnsafeMutableRawPointer?, _ method: UnsafePointer<CChar>?, _ bytes: UnsafePointer<CChar>?,
    _ count: UnsafeMutablePointer<Int>?, _ state: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
  ) -> MHD_Result {
    guard let method, let count, let pointer = state?.pointee else { return .NO }
    let exchange = Unmanaged<Exchange>.fromOpaque(pointer).takeUnretainedValue()
    let name = String(cString: method)
    nonisolated(unsafe) let piece = UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : count.pointee)
    // Taken, all of it.
    count.pointee = 0
    return DispatchLoop.assumeIsolated { exchange.received(method: name, bytes: piece) } ? .YES : .NO
  }
}
