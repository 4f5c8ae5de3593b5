// GTK's widgets as the window's files make and change them, so that none of these has to convert pointers. There is no
// state here: GTK owns the widgets. All of it is for the main thread, the only one that may touch a widget.

import CGtk

/// A widget of any kind. GTK's functions take it as an OpaquePointer if its headers have no struct for it: `.opaque`.
typealias Widget = UnsafeMutablePointer<GtkWidget>

extension UnsafeMutablePointer where Pointee == GtkWidget {
  var opaque: OpaquePointer { OpaquePointer(self) }
  var window: UnsafeMutablePointer<GtkWindow> { UnsafeMutableRawPointer(self).assumingMemoryBound(to: GtkWindow.self) }
  var box: UnsafeMutablePointer<GtkBox> { UnsafeMutableRawPointer(self).assumingMemoryBound(to: GtkBox.self) }
  var button: UnsafeMutablePointer<GtkButton> { UnsafeMutableRawPointer(self).assumingMemoryBound(to: GtkButton.self) }
  var grid: UnsafeMutablePointer<GtkGrid> { UnsafeMutableRawPointer(self).assumingMemoryBound(to: GtkGrid.self) }
  var entry: UnsafeMutablePointer<GtkEntry> { UnsafeMutableRawPointer(self).assumingMemoryBound(to: GtkEntry.self) }
  var dialog: UnsafeMutablePointer<GtkDialog> { UnsafeMutableRawPointer(self).assumingMemoryBound(to: GtkDialog.self) }

  func add(class name: String) { gtk_widget_add_css_class(self, name) }
  func append(_ children: Widget...) { for child in children { gtk_box_append(box, child) } }
  func setMargins(_ margin: Int32) {
    gtk_widget_set_margin_top(self, margin)
    gtk_widget_set_margin_bottom(self, margin)
    gtk_widget_set_margin_start(self, margin)
    gtk_widget_set_margin_end(self, margin)
  }

  /// The text that a screen reader says for it.
  func setAccessible(label: String) { cgtk_set_accessible_text(self, GTK_ACCESSIBLE_PROPERTY_LABEL, label) }
  /// The same for the contents of a list's row: what has the focus is GTK's widget around them.
  func setRowLabel(_ label: String) { gtk_widget_get_parent(self)?.setAccessible(label: label) }
  func setAccessible(description: String) {
    cgtk_set_accessible_text(self, GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, description)
  }
}

/// The few ways in which our windows make widgets.
@MainActor enum Make {
  static func column(spacing: Int32 = 0, role: GtkAccessibleRole = GTK_ACCESSIBLE_ROLE_GROUP) -> Widget {
    cgtk_box_with_role(GTK_ORIENTATION_VERTICAL, spacing, role)
  }

  static func row(spacing: Int32 = 0, role: GtkAccessibleRole = GTK_ACCESSIBLE_ROLE_GROUP) -> Widget {
    cgtk_box_with_role(GTK_ORIENTATION_HORIZONTAL, spacing, role)
  }

  /// One line of plain text, cut where there is no room.
  static func line(_ text: String = "", _ classes: String..., cut: PangoEllipsizeMode = PANGO_ELLIPSIZE_END) -> Widget {
    let label: Widget = gtk_label_new(text)
    gtk_label_set_xalign(label.opaque, 0)
    gtk_label_set_ellipsize(label.opaque, cut)
    for name in classes { label.add(class: name) }
    return label
  }

  /// Plain text that goes on in the next line.
  static func paragraph(_ text: String = "", _ classes: String...) -> Widget {
    let label: Widget = gtk_label_new(text)
    gtk_label_set_xalign(label.opaque, 0)
    gtk_label_set_wrap(label.opaque, 1)
    gtk_label_set_wrap_mode(label.opaque, PANGO_WRAP_WORD_CHAR)
    for name in classes { label.add(class: name) }
    return label
  }

  /// A button with an icon of GTK's own, which every desktop has.
  static func iconButton(_ icon: String, _ name: String, _ pressed: @escaping @MainActor () -> Void) -> Widget {
    let button: Widget = gtk_button_new_from_icon_name(icon)
    button.add(class: "flat")
    gtk_widget_set_valign(button, GTK_ALIGN_CENTER)
    gtk_widget_set_tooltip_text(button, name)
    button.setAccessible(label: name)
    on(button, "clicked") { _ in pressed() }
    return button
  }

  static func textButton(_ text: String, _ pressed: @escaping @MainActor () -> Void) -> Widget {
    let button: Widget = gtk_button_new_with_label(text)
    on(button, "clicked") { _ in pressed() }
    return button
  }

  static func icon(_ name: String, size: Int32) -> Widget {
    let image: Widget = gtk_image_new_from_icon_name(name)
    gtk_image_set_pixel_size(image.opaque, size)
    return image
  }
}
