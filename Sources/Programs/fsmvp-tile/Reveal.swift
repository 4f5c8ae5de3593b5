import CGtk

/// Shows a file in the desktop's file manager. It sends messages over `SessionBus`, on the main thread, and keeps
/// nothing.
@MainActor enum Reveal {
  /// By the file manager's own interface, which marks the file; else by opening its folder.
  /// - Parameter failed: neither worked.
  static func show(_ path: String, _ bus: SessionBus, parent: Widget, failed: @escaping @MainActor () -> Void) {
    guard let uri = uri(path) else { return failed() }
    var files: [OpaquePointer?] = [g_variant_new_string(uri)]
    var arguments: [OpaquePointer?] = [g_variant_new_array(nil, &files, 1), g_variant_new_string("")]
    bus.call(
      "org.freedesktop.FileManager1", "/org/freedesktop/FileManager1", "org.freedesktop.FileManager1", "ShowItems",
      g_variant_new_tuple(&arguments, 2), starts: true
    ) { answer in
      if answer == nil { open(folderOf: path, parent: parent, failed: failed) }
    }
  }

  private static func open(folderOf path: String, parent: Widget, failed: @escaping @MainActor () -> Void) {
    guard let uri = uri(String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.endIndex))) else { return failed() }
    gtk_show_uri_full(
      parent.window, uri, UInt32(GDK_CURRENT_TIME), nil, AsyncAnswer.callback,
      AsyncAnswer { _, result in
        if gtk_show_uri_full_finish(parent.window, result, nil) == 0 { failed() }
      }.kept)
  }

  private static func uri(_ path: String) -> String? {
    guard let text = g_filename_to_uri(path, nil, nil) else { return nil }
    defer { g_free(text) }
    return String(cString: text)
  }
}
