import CGtk

/// A staged file as drags and the clipboard carry it: the file itself, as `GdkFileList`, whose other forms
/// (`text/uri-list`, the path as text) GTK makes; and for receivers in a sandbox the portal's key, where there is a
/// portal. It opens no file and keeps nothing; GTK owns the provider.
@MainActor enum FileContent {
  /// - Returns: to be given away.
  static func provider(for path: String, _ bus: SessionBus) -> UnsafeMutablePointer<GdkContentProvider> {
    var files: [OpaquePointer?] = [g_file_new_for_path(path)]
    let list = gdk_file_list_new_from_array(&files, 1)
    g_object_unref(UnsafeMutableRawPointer(files[0]))
    var value = GValue()
    g_value_init(&value, gdk_file_list_get_type())
    g_value_take_boxed(&value, UnsafeMutableRawPointer(list))
    defer { g_value_unset(&value) }
    let file: UnsafeMutablePointer<GdkContentProvider> = gdk_content_provider_new_for_value(&value)
    guard bus.has(FileTransfer.portal), let connection = bus.connection else { return file }
    var both: [UnsafeMutablePointer<GdkContentProvider>?] = [file, FileTransfer.provider(for: path, on: connection)]
    return gdk_content_provider_new_union(&both, 2)
  }
}
