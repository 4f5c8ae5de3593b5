import CGtk
import ControlModel

/// All tiles, newest first. `Desk` owns it, on the main thread; the items are the `Board`'s.
@MainActor final class TilesPage {
  let root: Widget
  private let list: IDList<TileView>

  /// - Parameters:
  ///   - item: what an id stands for right now.
  ///   - stage: the person wants to stage something.
  init(
    _ bus: SessionBus, _ actions: TileActions, item: @escaping @MainActor (String) -> StagedItem?,
    stage: @escaping @MainActor () -> Void
  ) {
    list = IDList(
      style: "tiles", make: { TileView(.row, bus, actions) }, root: { $0.root },
      show: { view, id in view.show(item(id)) })
    list.view.setAccessible(label: "Staged files")
    root = gtk_stack_new()
    gtk_stack_add_named(root.opaque, list.scroller, "list")
    gtk_stack_add_named(root.opaque, Self.empty(stage), "empty")
    list.onActivate { [list] id in list.row(id)?.openMenu() }
    showWhatIs()
  }

  private static func empty(_ stage: @escaping @MainActor () -> Void) -> Widget {
    let column = Make.column(spacing: 12)
    gtk_widget_set_valign(column, GTK_ALIGN_CENTER)
    gtk_widget_set_halign(column, GTK_ALIGN_CENTER)
    let words = Make.line("Nothing is staged yet", "big")
    let more = Make.paragraph("Stage a file for somebody, then drag its tile into any upload zone.", "fact")
    gtk_label_set_justify(more.opaque, GTK_JUSTIFY_CENTER)
    gtk_label_set_xalign(words.opaque, 0.5)
    gtk_label_set_xalign(more.opaque, 0.5)
    let button = Make.textButton("Stage a file", stage)
    button.add(class: "suggested-action")
    gtk_widget_set_halign(button, GTK_ALIGN_CENTER)
    column.append(Make.icon("folder-videos-symbolic", size: 64), words, more, button)
    return column
  }

  func apply(_ changes: [Board.Change], item: (String) -> StagedItem?) {
    let wasEmpty = list.count == 0
    for change in changes {
      switch change {
      case .spliced(let at, let removed, let added): list.splice(at: at, removing: removed, adding: added)
      case .item(let id): list.row(id)?.show(item(id))
      }
    }
    showWhatIs()
    if wasEmpty, list.count > 0 { takeFocus() }
  }

  private func showWhatIs() { gtk_stack_set_visible_child_name(root.opaque, list.count == 0 ? "empty" : "list") }

  var selected: String? { list.selected }

  /// Takes the keyboard to a row.
  func select(_ position: Int) {
    guard position < list.count else { return }
    list.select(position)
    gtk_widget_grab_focus(list.view)
  }

  func takeFocus() { gtk_widget_grab_focus(list.view) }
}
