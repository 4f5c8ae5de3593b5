import CGtk

/// Makes a widget the source of drags of a staged file. GTK owns the drag's source, on the main thread; nothing is kept
/// here.
@MainActor enum TileDrag {
  /// The dragged file, and its name for the picture under the pointer.
  struct Load {
    var path: String
    var name: String
  }

  /// - Parameter load: asked when a drag begins; nil: there is nothing to drag.
  static func attach(to widget: Widget, _ bus: SessionBus, load: @escaping @MainActor () -> Load?) {
    let source: OpaquePointer = gtk_drag_source_new()
    gtk_drag_source_set_actions(source, GDK_ACTION_COPY)
    on(source, "prepare") { call in call.answer(object: load().map { FileContent.provider(for: $0.path, bus) }) }
    on(source, "drag-begin") { call in
      guard let drag = call.pointer(1), let load = load() else { return }
      show(load, under: OpaquePointer(drag))
    }
    gtk_widget_add_controller(widget, source)
    gtk_widget_set_cursor_from_name(widget, "grab")
  }

  /// A widget made for this one drag, which GTK owns and forgets with it.
  private static func show(_ load: Load, under drag: OpaquePointer) {
    let row = Make.row(spacing: 8)
    row.add(class: "drag")
    let name = Make.line(load.name, cut: PANGO_ELLIPSIZE_MIDDLE)
    gtk_label_set_max_width_chars(name.opaque, 32)
    row.append(FileIcon.image(for: load.name, size: 32), name)
    gtk_drag_icon_set_child(gtk_drag_icon_get_for_drag(drag)?.opaque, row)
    gdk_drag_set_hotspot(drag, -12, -12)
  }
}
