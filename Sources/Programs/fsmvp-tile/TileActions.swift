import CGtk
import ControlModel

/// The actions of a tile; buttons, menus and keys all come here. It is a value of closures, which `Desk` makes; they
/// run on the main thread.
@MainActor struct TileActions {
  var copy: @MainActor (StagedItem) -> Void
  var reveal: @MainActor (StagedItem) -> Void
  var pin: @MainActor (StagedItem, _ isPinned: Bool) -> Void
  var remove: @MainActor (StagedItem) -> Void

  // MARK: The menu

  /// The parts of an item that its menu depends on.
  struct MenuKey: Equatable {
    var id: String
    var isPinned: Bool
    init(_ item: StagedItem) {
      id = item.id
      isPinned = item.pinned
    }
  }

  /// Its entries are actions of the window, `tile.NAME` with the item's id.
  static func setMenu(_ key: MenuKey, of button: Widget) {
    let menu: OpaquePointer = g_menu_new()
    defer { g_object_unref(UnsafeMutableRawPointer(menu)) }
    let entries = [
      ("Copy path", "copy"), ("Reveal in file manager", "reveal"),
      key.isPinned ? ("Unpin", "unpin") : ("Pin: fetch it all and keep it", "pin"), ("Remove", "remove"),
    ]
    for (text, action) in entries {
      let entry = g_menu_item_new(text, nil)
      g_menu_item_set_action_and_target_value(entry, "tile.\(action)", g_variant_new_string(key.id))
      g_menu_append_item(menu, entry)
      g_object_unref(UnsafeMutableRawPointer(entry))
    }
    gtk_menu_button_set_menu_model(
      button.opaque, UnsafeMutableRawPointer(menu).assumingMemoryBound(to: GMenuModel.self))
  }

  /// Puts the menu's actions on a window.
  /// - Parameter item: the item of an id, where it is still there.
  func install(on window: Widget, item: @escaping @MainActor (String) -> StagedItem?) {
    let group = g_simple_action_group_new()
    let todo: [(String, @MainActor (StagedItem) -> Void)] = [
      ("copy", copy), ("reveal", reveal), ("pin", { [pin] in pin($0, true) }), ("unpin", { [pin] in pin($0, false) }),
      ("remove", remove),
    ]
    for (name, body) in todo {
      let action = g_simple_action_new(name, cgtk_text())
      on(action!, "activate") { call in
        guard let target = call.variantText(1), let item = item(target) else { return }
        body(item)
      }
      g_action_map_add_action(OpaquePointer(group), action)
      g_object_unref(UnsafeMutableRawPointer(action))
    }
    gtk_widget_insert_action_group(window, "tile", OpaquePointer(group))
    g_object_unref(group)
  }
}
