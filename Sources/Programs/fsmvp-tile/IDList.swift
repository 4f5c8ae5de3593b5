import CGtk

/// A scrolling list whose rows are known by a text, an id. GTK makes as many row widgets as are to be seen, and a few
/// more. The page that shows it owns it, on the main thread; the rows' contents stay the page's.
@MainActor final class IDList<Row> {
  let view: Widget
  let scroller: Widget
  private let ids: OpaquePointer
  private let selection: OpaquePointer
  /// All rows there are widgets for, by their root; and those that show something.
  private var rows: [Widget: Row] = [:]
  private var bound: [String: Widget] = [:]

  /// - Parameters:
  ///   - make: a row's widgets, empty.
  ///   - root: the outermost of them.
  ///   - show: fills the row with what the id stands for.
  init(
    style: String, make: @escaping @MainActor () -> Row, root: @escaping @MainActor (Row) -> Widget,
    show: @escaping @MainActor (Row, String) -> Void
  ) {
    ids = gtk_string_list_new(nil)
    selection = gtk_single_selection_new(ids)
    let factory: OpaquePointer = gtk_signal_list_item_factory_new()
    view = gtk_list_view_new(selection, factory)
    view.add(class: style)
    scroller = gtk_scrolled_window_new()
    gtk_scrolled_window_set_policy(scroller.opaque, GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC)
    gtk_scrolled_window_set_child(scroller.opaque, view)
    gtk_widget_set_vexpand(scroller, 1)
    on(factory, "setup") { [unowned self] call in
      let row = make()
      rows[root(row)] = row
      gtk_list_item_set_child(call.listItem, root(row))
    }
    on(factory, "bind") { [unowned self] call in
      guard let id = call.listItem.flatMap(Self.id), let child = gtk_list_item_get_child(call.listItem),
        let row = rows[child]
      else {
        return
      }
      bound[id] = child
      show(row, id)
    }
    on(factory, "unbind") { [unowned self] call in
      guard let id = call.listItem.flatMap(Self.id), bound[id] == gtk_list_item_get_child(call.listItem) else { return }
      bound[id] = nil
    }
    on(factory, "teardown") { [unowned self] call in
      if let child = gtk_list_item_get_child(call.listItem) { rows[child] = nil }
    }
  }

  private static func id(_ listItem: OpaquePointer) -> String? {
    gtk_list_item_get_item(listItem).map { String(cString: gtk_string_object_get_string(OpaquePointer($0))) }
  }

  /// The row that shows `id`, where one does.
  func row(_ id: String) -> Row? { bound[id].flatMap { rows[$0] } }

  func splice(at position: Int, removing count: Int, adding added: [String]) {
    var texts: [UnsafePointer<CChar>?] = added.map { UnsafePointer(g_strdup($0)) } + [nil]
    gtk_string_list_splice(ids, UInt32(position), UInt32(count), &texts)
    for text in texts { g_free(UnsafeMutableRawPointer(mutating: text)) }
  }

  var count: Int { Int(g_list_model_get_n_items(ids)) }

  var selected: String? {
    gtk_single_selection_get_selected_item(selection).map {
      String(cString: gtk_string_object_get_string(OpaquePointer($0)))
    }
  }

  func select(_ position: Int) {
    gtk_single_selection_set_selected(selection, UInt32(position))
    gtk_widget_activate_action_variant(view, "list.scroll-to-item", g_variant_new_uint32(UInt32(position)))
  }

  func onSelection(_ body: @escaping @MainActor () -> Void) { on(selection, "notify::selected-item") { _ in body() } }

  /// Enter, or a double click, on a row.
  func onActivate(_ body: @escaping @MainActor (String) -> Void) {
    on(view, "activate") { [unowned self] call in
      guard let text = gtk_string_list_get_string(ids, call.number(1)) else { return }
      body(String(cString: text))
    }
  }

  /// Calls back when the list is looked at close to its end, or does not fill its place.
  func onEnd(_ body: @escaping @MainActor () -> Void) {
    let adjustment: UnsafeMutablePointer<GtkAdjustment> = gtk_scrolled_window_get_vadjustment(scroller.opaque)
    let look: @MainActor (SignalCall) -> Void = { _ in
      let page = gtk_adjustment_get_page_size(adjustment)
      // Before there is a size there is no end.
      guard page > 0 else { return }
      if gtk_adjustment_get_value(adjustment) + page >= gtk_adjustment_get_upper(adjustment) - page { body() }
    }
    on(adjustment, "value-changed", look)
    on(adjustment, "changed", look)
  }
}

extension SignalCall {
  /// A list item factory's second argument.
  fileprivate var listItem: OpaquePointer? { pointer(1).map { OpaquePointer($0) } }
}
