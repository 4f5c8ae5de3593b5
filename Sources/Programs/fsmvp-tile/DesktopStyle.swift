import CGtk

/// Dark or light as the desktop is. GTK follows a theme by itself; the newer way, by which a person asks all
/// applications for dark, is the portal's. This code asks the portal over `SessionBus` and keeps nothing: the setting
/// is GTK's, on the main thread.
@MainActor enum DesktopStyle {
  private static let portal = "org.freedesktop.portal.Desktop"
  private static let path = "/org/freedesktop/portal/desktop"
  private static let interface = "org.freedesktop.portal.Settings"

  static func follow(_ bus: SessionBus) {
    bus.watch(portal) { read(bus) }
    guard let connection = bus.connection else { return }
    // Any change reads all settings anew: changes are rare, and there is one parser for both cases.
    let changed = Changed { read(bus) }
    g_dbus_connection_signal_subscribe(
      connection, portal, interface, "SettingChanged", path, "org.freedesktop.appearance", G_DBUS_SIGNAL_FLAGS_NONE,
      { @Sendable _, _, _, _, _, _, data in
        guard let data else { return }
        let changed = Unmanaged<Changed>.fromOpaque(data).takeUnretainedValue()
        MainActor.assumeIsolated { changed.body() }
      }, Unmanaged.passRetained(changed).toOpaque(),
      { @Sendable data in if let data { Unmanaged<Changed>.fromOpaque(data).release() } })
  }

  private final class Changed: Sendable {
    let body: @MainActor () -> Void
    init(_ body: @escaping @MainActor () -> Void) { self.body = body }
  }

  private static func read(_ bus: SessionBus) {
    var arguments: [OpaquePointer?] = [
      g_variant_new_string("org.freedesktop.appearance"), g_variant_new_string("color-scheme"),
    ]
    bus.call(portal, path, interface, "Read", g_variant_new_tuple(&arguments, 2), starts: false) { answer in
      guard let answer, let scheme = number(answer) else { return }
      var isDark = GValue()
      g_value_init(&isDark, CGTK_TYPE_BOOLEAN)
      // 1: dark is preferred; 2: light is; 0: neither.
      g_value_set_boolean(&isDark, scheme == 1 ? 1 : 0)
      g_object_set_property(
        UnsafeMutableRawPointer(gtk_settings_get_default()!).assumingMemoryBound(to: GObject.self),
        "gtk-application-prefer-dark-theme",
        &isDark)
      g_value_unset(&isDark)
    }
  }

  /// The number inside a tuple and any number of wrappings.
  private static func number(_ answer: OpaquePointer) -> UInt32? {
    guard g_variant_is_container(answer) != 0, g_variant_n_children(answer) == 1 else { return nil }
    var value = g_variant_get_child_value(answer, 0)
    while let wrapped = value, g_variant_classify(wrapped) == G_VARIANT_CLASS_VARIANT {
      value = g_variant_get_variant(wrapped)
      g_variant_unref(wrapped)
    }
    defer { if let value { g_variant_unref(value) } }
    guard let value, g_variant_classify(value) == G_VARIANT_CLASS_UINT32 else { return nil }
    return g_variant_get_uint32(value)
  }
}
