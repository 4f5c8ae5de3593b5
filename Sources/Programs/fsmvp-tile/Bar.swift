import CGtk

/// A progress bar with its name before it, and behind it how far and how fast it is. The state is its widgets', which
/// `TileView` places, on the main thread.
@MainActor struct Bar {
  let name: Widget
  let bar: Widget
  let figure: Widget
  let rate: Widget

  init(_ text: String, _ style: String) {
    name = Make.line(text, "fact", cut: PANGO_ELLIPSIZE_NONE)
    bar = gtk_progress_bar_new()
    bar.add(class: style)
    bar.setAccessible(label: text)
    gtk_widget_set_hexpand(bar, 1)
    gtk_widget_set_valign(bar, GTK_ALIGN_CENTER)
    figure = Make.line("", "fact", "figure", cut: PANGO_ELLIPSIZE_NONE)
    gtk_label_set_width_chars(figure.opaque, 5)
    gtk_label_set_xalign(figure.opaque, 1)
    rate = Make.line("", "fact", "figure", cut: PANGO_ELLIPSIZE_NONE)
    gtk_label_set_width_chars(rate.opaque, 10)
    gtk_label_set_xalign(rate.opaque, 1)
    gtk_widget_set_visible(rate, 0)
  }

  func attach(to grid: Widget, row: Int32) {
    gtk_grid_attach(grid.grid, name, 0, row, 1, 1)
    gtk_grid_attach(grid.grid, bar, 1, row, 1, 1)
    gtk_grid_attach(grid.grid, figure, 2, row, 1, 1)
    gtk_grid_attach(grid.grid, rate, 3, row, 1, 1)
  }

  /// - Parameter isMoving: whether there is a place for rates at all: of both bars or of none.
  func show(percent: Int, rate text: String, isMoving: Bool) {
    gtk_progress_bar_set_fraction(bar.opaque, Double(percent) / 100)
    gtk_label_set_text(figure.opaque, "\(percent) %")
    gtk_label_set_text(rate.opaque, text)
    gtk_widget_set_visible(rate, isMoving ? 1 : 0)
  }
}
