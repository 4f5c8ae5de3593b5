import CGtk

/// The desktop's message bus. If there is none, or a name has no owner, nothing waits and nothing fails. `Desk` owns
/// it, on the main thread; it has the connection and the names that have an owner.
@MainActor final class SessionBus {
  /// Nil before it is connected, and where there is no bus.
  private(set) var connection: OpaquePointer?
  private var owned: Set<String> = []

  func connect(then: @escaping @MainActor () -> Void) {
    g_bus_get(
      G_BUS_TYPE_SESSION, nil, AsyncAnswer.callback,
      AsyncAnswer { [self] _, result in
        connection = g_bus_get_finish(result, nil)
        guard let connection else { return }
        // GIO would end the process with the bus.
        g_dbus_connection_set_exit_on_close(connection, 0)
        then()
      }.kept)
  }

  /// Whether `name` has an owner right now; known for watched names only.
  func has(_ name: String) -> Bool { owned.contains(name) }

  /// Keeps `has` true to the bus. Watching a name starts no program.
  func watch(_ name: String, appeared: @escaping @MainActor () -> Void = {}) {
    guard let connection else { return }
    let watched = Watched(bus: self, name: name, appeared: appeared)
    g_bus_watch_name_on_connection(
      connection, name, G_BUS_NAME_WATCHER_FLAGS_NONE,
      { @Sendable _, _, _, data in Watched.set(data, isOwned: true) },
      { @Sendable _, _, data in Watched.set(data, isOwned: false) },
      Unmanaged.passRetained(watched).toOpaque(),
      { @Sendable data in if let data { Unmanaged<Watched>.fromOpaque(data).release() } })
  }

  private final class Watched: Sendable {
    let bus: SessionBus
    let name: String
    let appeared: @MainActor () -> Void

    init(bus: SessionBus, name: String, appeared: @escaping @MainActor () -> Void) {
      self.bus = bus
      self.name = name
      self.appeared = appeared
    }

    static func set(_ data: UnsafeMutableRawPointer?, isOwned: Bool) {
      guard let data else { return }
      let watched = Unmanaged<Watched>.fromOpaque(data).takeUnretainedValue()
      MainActor.assumeIsolated {
        if isOwned {
          watched.bus.owned.insert(watched.name)
          watched.appeared()
        } else {
          watched.bus.owned.remove(watched.name)
        }
      }
    }
  }

  /// Calls a method; `then` gets the answer, borrowed, or nil where there was none within 5 s.
  /// - Parameter arguments: a tuple; floating.
  func call(
    _ name: String, _ path: String, _ interface: String, _ method: String, _ arguments: OpaquePointer?, starts: Bool,
    then: @escaping @MainActor (OpaquePointer?) -> Void
  ) {
    guard let connection else {
      if let arguments { g_variant_unref(g_variant_ref_sink(arguments)) }
      return then(nil)
    }
    g_dbus_connection_call(
      connection, name, path, interface, method, arguments, nil,
      starts ? G_DBUS_CALL_FLAGS_NONE : G_DBUS_CALL_FLAGS_NO_AUTO_START, 5000, nil, AsyncAnswer.callback,
      AsyncAnswer { source, result in
        let answer = g_dbus_connection_call_finish(OpaquePointer(source), result, nil)
        then(answer)
        if let answer { g_variant_unref(answer) }
      }.kept)
  }
}
