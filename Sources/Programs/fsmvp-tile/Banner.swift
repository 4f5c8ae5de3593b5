import CGtk

/// The line under a window's header: what a person should know and need not answer. It never takes the focus. `Desk`
/// owns it, on the main thread.
@MainActor final class Banner {
  enum Kind: String, CaseIterable {
    /// Goes by itself.
    case news
    case problem
    /// Stays until it is no longer so.
    case lost
  }

  let root: Widget
  private let body = Make.row(spacing: 10, role: GTK_ACCESSIBLE_ROLE_ALERT)
  private let icon = Make.icon("dialog-information-symbolic", size: 16)
  private let text = Make.paragraph()
  /// The lasting sentence, shown again when a passing one has gone.
  private var lost: String?
  private var timer: UInt32?

  init() {
    root = gtk_revealer_new()
    body.add(class: "banner")
    gtk_widget_set_hexpand(text, 1)
    gtk_widget_set_valign(icon, GTK_ALIGN_CENTER)
    body.append(icon, text)
    gtk_revealer_set_child(root.opaque, body)
    // A hidden text is removed, because a screen reader would still find it.
    on(root, "notify::child-revealed") { [root, text, body] _ in
      guard gtk_revealer_get_reveal_child(root.opaque) == 0 else { return }
      gtk_label_set_text(text.opaque, "")
      body.setAccessible(label: "")
    }
  }

  /// Shows a sentence for as long as it takes to read it.
  func show(_ kind: Kind, _ sentence: String) {
    if let timer { MainLoop.cancel(timer) }
    timer = MainLoop.after(kind == .problem ? 12_000 : 4_000) { [self] in
      timer = nil
      showWhatStays()
    }
    put(kind, sentence)
  }

  /// - Parameter sentence: nil: it is not so any more.
  func set(lost sentence: String?) {
    guard sentence != lost else { return }
    lost = sentence
    if timer == nil { showWhatStays() }
  }

  private func showWhatStays() {
    if let lost { put(.lost, lost) } else { gtk_revealer_set_reveal_child(root.opaque, 0) }
  }

  private func put(_ kind: Kind, _ sentence: String) {
    for other in Kind.allCases { gtk_widget_remove_css_class(body, other.rawValue) }
    body.add(class: kind.rawValue)
    gtk_image_set_from_icon_name(icon.opaque, kind == .news ? "dialog-information-symbolic" : "dialog-warning-symbolic")
    gtk_label_set_text(text.opaque, sentence)
    body.setAccessible(label: sentence)
    gtk_revealer_set_reveal_child(root.opaque, 1)
  }
}
