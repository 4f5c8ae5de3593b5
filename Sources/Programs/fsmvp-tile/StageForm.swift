import CGtk

/// The entry for a file's recipient, with earlier ones offered, and the button that stages it. `StagePage` owns it, on
/// the main thread.
@MainActor final class StageForm {
  let root = Make.column(spacing: 8)
  private let what = Make.line("Choose a file above", "fact", cut: PANGO_ELLIPSIZE_MIDDLE)
  private let entry: Widget = gtk_entry_new()
  private let before: Widget = gtk_menu_button_new()
  private let button: Widget
  private var recipients: [String] = []
  private var isReady = false
  private let stage: @MainActor (String) -> Void

  init(stage: @escaping @MainActor (_ recipient: String) -> Void) {
    self.stage = stage
    button = gtk_button_new_with_label("Stage")
    button.add(class: "suggested-action")
    root.add(class: "form")
    gtk_entry_set_placeholder_text(entry.entry, "Recipient: who the file is for")
    entry.setAccessible(label: "Recipient")
    gtk_widget_set_hexpand(entry, 1)
    gtk_menu_button_set_icon_name(before.opaque, "document-open-recent-symbolic")
    gtk_widget_set_tooltip_text(before, "Recipients of before")
    before.setAccessible(label: "Recipients of before")
    gtk_widget_set_visible(before, 0)
    let row = Make.row(spacing: 8)
    row.append(entry, before, button)
    root.append(what, row)
    on(entry, "activate") { [self] _ in send() }
    on(entry, "changed") { [self] _ in update() }
    on(button, "clicked") { [self] _ in send() }
    let group = g_simple_action_group_new()
    let choose: OpaquePointer = g_simple_action_new("choose", cgtk_text())
    on(choose, "activate") { [self] call in
      guard let text = call.variantText(1) else { return }
      gtk_editable_set_text(entry.opaque, text)
      gtk_widget_grab_focus(entry)
      gtk_editable_set_position(entry.opaque, -1)
    }
    g_action_map_add_action(OpaquePointer(group), choose)
    g_object_unref(UnsafeMutableRawPointer(choose))
    gtk_widget_insert_action_group(root, "recipient", OpaquePointer(group))
    g_object_unref(group)
    update()
  }

  /// - Parameter sentence: what would be staged, or what to do first.
  func show(_ sentence: String, isReady: Bool) {
    gtk_label_set_text(what.opaque, sentence)
    self.isReady = isReady
    update()
  }

  /// - Parameter recipients: newest first.
  func offer(_ recipients: [String]) {
    self.recipients = recipients
    let menu: OpaquePointer = g_menu_new()
    for recipient in recipients.prefix(20) {
      let entry = g_menu_item_new(Words.menuText(recipient), nil)
      g_menu_item_set_action_and_target_value(entry, "recipient.choose", g_variant_new_string(recipient))
      g_menu_append_item(menu, entry)
      g_object_unref(UnsafeMutableRawPointer(entry))
    }
    gtk_menu_button_set_menu_model(
      before.opaque, UnsafeMutableRawPointer(menu).assumingMemoryBound(to: GMenuModel.self))
    g_object_unref(UnsafeMutableRawPointer(menu))
    gtk_widget_set_visible(before, recipients.isEmpty ? 0 : 1)
  }

  /// One was used: it comes first.
  func add(_ recipient: String) { offer([recipient] + recipients.filter { $0 != recipient }) }

  func takeFocus() { gtk_widget_grab_focus(entry) }

  private var recipient: String {
    var text = Substring(String(cString: gtk_editable_get_text(entry.opaque)))
    while text.first?.isWhitespace == true { text = text.dropFirst() }
    while text.last?.isWhitespace == true { text = text.dropLast() }
    return String(text)
  }

  private func update() { gtk_widget_set_sensitive(button, isReady && !recipient.isEmpty ? 1 : 0) }

  private func send() {
    if isReady, !recipient.isEmpty { stage(recipient) }
  }
}
