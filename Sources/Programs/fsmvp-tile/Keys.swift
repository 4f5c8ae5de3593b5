import CGtk

/// The window's shortcuts, for keys that no field takes. It is a value of closures: `Desk` makes it, and GTK calls it
/// on the main thread.
@MainActor struct Keys {
  var copy: @MainActor () -> Void
  var remove: @MainActor () -> Void
  /// Enter where nothing else takes it.
  var menu: @MainActor () -> Void
  var search: @MainActor () -> Void
  var back: @MainActor () -> Void
  var close: @MainActor () -> Void

  func install(on window: Widget) {
    let controller: OpaquePointer = gtk_event_controller_key_new()
    on(controller, "key-pressed") { call in
      let held = call.modifiers(3).rawValue & gtk_accelerator_get_default_mod_mask().rawValue
      call.answer(press(Int32(gdk_keyval_to_lower(call.number(1))), held))
    }
    gtk_widget_add_controller(window, controller)
  }

  /// - Returns: whether the key is one of ours.
  private func press(_ key: Int32, _ held: UInt32) -> Bool {
    switch (key, held) {
    case (GDK_KEY_c, GDK_CONTROL_MASK.rawValue): copy()
    case (GDK_KEY_f, GDK_CONTROL_MASK.rawValue), (GDK_KEY_n, GDK_CONTROL_MASK.rawValue): search()
    case (GDK_KEY_w, GDK_CONTROL_MASK.rawValue), (GDK_KEY_q, GDK_CONTROL_MASK.rawValue): close()
    case (GDK_KEY_Delete, 0), (GDK_KEY_KP_Delete, 0): remove()
    case (GDK_KEY_Return, 0), (GDK_KEY_KP_Enter, 0), (GDK_KEY_Menu, 0), (GDK_KEY_F10, GDK_SHIFT_MASK.rawValue): menu()
    case (GDK_KEY_Escape, 0): back()
    default: return false
    }
    return true
  }
}
