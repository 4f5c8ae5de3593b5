import CGtk

/// The desktop's icon for a kind of file, by the name alone: nothing is opened. It runs on the main thread, without
/// state.
@MainActor enum FileIcon {
  static func image(for name: String, size: Int32) -> Widget {
    let image: Widget = gtk_image_new()
    gtk_image_set_pixel_size(image.opaque, size)
    set(image, for: name)
    return image
  }

  static func set(_ image: Widget, for name: String) {
    let type = g_content_type_guess(name, nil, 0, nil)
    let icon = g_content_type_get_icon(type)
    gtk_image_set_from_gicon(image.opaque, icon)
    g_object_unref(UnsafeMutableRawPointer(icon))
    g_free(type)
  }
}
