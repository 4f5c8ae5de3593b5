import CGtk
import ControlModel
import Core

/// One tile: what the file is, how far it is, and a source of drags over all of it but the buttons at its edge.
/// `TilesPage` owns those of its list, `Desk` the one of a window with one file; all of it is on the main thread.
@MainActor final class TileView {
  enum Shape {
    /// Alone in its window, buttons with words below.
    case alone
    /// A row of the list, a menu at its end.
    case row
  }

  let root: Widget
  private let shape: Shape
  private(set) var item: StagedItem?
  private let icon: Widget
  private let name = Make.line("", "name", cut: PANGO_ELLIPSIZE_MIDDLE)
  private let recipient = Make.line("", "fact")
  private let size = Make.line("", "fact", cut: PANGO_ELLIPSIZE_NONE)
  private let state = Make.line("", "state")
  /// A failure's sentence, which may be long; visible only then. (Text in several lines costs GTK so much to measure
  /// that a list full of it takes seconds.)
  private let failure = Make.paragraph("", "state")
  private let left = Make.line("", "fact", "figure", cut: PANGO_ELLIPSIZE_NONE)
  private let fetched = Bar("Fetched", "fetched")
  private let read = Bar("Read", "read")
  /// At a row's end; a tile alone leaves it to its window's header.
  let menu: Widget
  private var pin: Widget?
  /// The values shown last that are costly to show again, or would disturb: an open menu would close.
  private var shown = Shown()
  private let buttons: Widget

  private struct Shown {
    var name: String?
    var label: String?
    var menu: TileActions.MenuKey?
  }

  init(_ shape: Shape, _ bus: SessionBus, _ actions: TileActions) {
    self.shape = shape
    root = shape == .alone ? Make.column(spacing: 14) : Make.row(spacing: 10)
    root.add(class: "tile")
    root.add(class: shape == .alone ? "alone" : "row")
    icon = FileIcon.image(for: "", size: shape == .alone ? 64 : 40)
    gtk_widget_set_valign(icon, GTK_ALIGN_START)
    menu = gtk_menu_button_new()
    gtk_menu_button_set_icon_name(menu.opaque, "view-more-symbolic")
    gtk_menu_button_set_has_frame(menu.opaque, 0)
    gtk_widget_set_valign(menu, GTK_ALIGN_CENTER)
    gtk_widget_set_tooltip_text(menu, "Actions")
    menu.setAccessible(label: "Actions")
    buttons = Make.row(spacing: shape == .alone ? 8 : 0)

    let facts = Make.row(spacing: 8)
    gtk_widget_set_hexpand(recipient, 1)
    facts.append(recipient, size)
    let bars: Widget = gtk_grid_new()
    gtk_grid_set_column_spacing(bars.grid, 10)
    gtk_grid_set_row_spacing(bars.grid, 2)
    fetched.attach(to: bars, row: 0)
    read.attach(to: bars, row: 1)
    let lines = Make.column(spacing: 4)
    gtk_widget_set_hexpand(lines, 1)
    let last = Make.row(spacing: 8)
    gtk_widget_set_hexpand(state, 1)
    gtk_widget_set_valign(left, GTK_ALIGN_START)
    last.append(state, left)
    lines.append(name, facts, bars, last, failure)
    gtk_widget_set_visible(failure, 0)
    let body = Make.row(spacing: 14)
    gtk_widget_set_hexpand(body, 1)
    gtk_widget_set_vexpand(body, shape == .alone ? 1 : 0)
    gtk_widget_set_valign(body, GTK_ALIGN_CENTER)
    body.append(icon, lines)
    root.append(body, buttons)

    switch shape {
    case .alone: addWordedButtons(actions)
    case .row:
      let copy = Make.iconButton("edit-copy-symbolic", "Copy path") { [self] in item.map(actions.copy) }
      // The keyboard goes from tile to tile: Enter opens the menu, which has all of it.
      gtk_widget_set_focusable(copy, 0)
      gtk_widget_set_focusable(menu, 0)
      buttons.append(copy, menu)
    }
    TileDrag.attach(to: root, bus) { [self] in item.map { TileDrag.Load(path: $0.path, name: Words.name($0)) } }
    addContextMenu()
  }

  private func addWordedButtons(_ actions: TileActions) {
    let pin = Make.textButton("Pin") { [self] in item.map { actions.pin($0, !$0.pinned) } }
    self.pin = pin
    let remove = Make.textButton("Remove") { [self] in item.map(actions.remove) }
    gtk_widget_set_focusable(root, 1)
    gtk_box_set_homogeneous(buttons.box, 1)
    buttons.append(
      Make.textButton("Copy path") { [self] in item.map(actions.copy) },
      Make.textButton("Reveal") { [self] in item.map(actions.reveal) }, pin, remove)
  }

  private func addContextMenu() {
    let click: OpaquePointer = gtk_gesture_click_new()
    gtk_gesture_single_set_button(click, UInt32(GDK_BUTTON_SECONDARY))
    on(click, "pressed") { [self] _ in openMenu() }
    gtk_widget_add_controller(root, click)
  }

  func openMenu() { gtk_menu_button_popup(menu.opaque) }

  /// - Parameter item: nil: it is no longer staged.
  func show(_ item: StagedItem?) {
    gtk_widget_set_sensitive(root, item == nil ? 0 : 1)
    self.item = item
    guard let item else {
      gtk_widget_set_visible(failure, 0)
      gtk_widget_set_visible(state, 1)
      gtk_label_set_text(state.opaque, "No longer staged. Stage it again to drag it.")
      for part in [left, fetched.rate, read.rate] { gtk_widget_set_visible(part, 0) }
      return
    }
    if shown.name != item.name {
      shown.name = item.name
      gtk_label_set_text(name.opaque, Words.name(item))
      gtk_widget_set_tooltip_text(name, Words.name(item))
      FileIcon.set(icon, for: item.name)
    }
    gtk_label_set_text(recipient.opaque, Words.recipient(item))
    gtk_label_set_text(size.opaque, Words.size(item))
    let isFailed = item.state == .failed
    gtk_label_set_text((isFailed ? failure : state).opaque, Words.state(item))
    gtk_widget_set_visible(failure, isFailed ? 1 : 0)
    gtk_widget_set_visible(state, isFailed ? 0 : 1)
    gtk_label_set_text(left.opaque, Words.left(item))
    gtk_widget_set_visible(left, item.etaSeconds == nil ? 0 : 1)
    let isMoving = item.fetchRate != nil || item.readRate != nil
    fetched.show(percent: Words.fetched(item), rate: Words.rate(item.fetchRate), isMoving: isMoving)
    read.show(percent: Words.read(item), rate: Words.rate(item.readRate), isMoving: isMoving)
    for (style, holds) in [("failed", isFailed), ("open", item.openRef > 0), ("pinned", item.pinned)] {
      if holds { gtk_widget_add_css_class(root, style) } else { gtk_widget_remove_css_class(root, style) }
    }
    let label = Words.whole(item)
    if shown.label != label {
      shown.label = label
      if shape == .row { root.setRowLabel(label) } else { root.setAccessible(label: label) }
    }
    let key = TileActions.MenuKey(item)
    if shown.menu != key {
      shown.menu = key
      TileActions.setMenu(key, of: menu)
      if let pin { gtk_button_set_label(pin.button, item.pinned ? "Unpin" : "Pin") }
    }
  }
}
