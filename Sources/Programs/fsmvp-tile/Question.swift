import CGtk

/// A question in front of a window, with one answer that does something and one that does not, which is the one Enter
/// and Escape give. GTK owns the dialog, on the main thread; nothing is kept here.
@MainActor enum Question {
  static func ask(
    _ texts: (question: String, detail: String), yes: String, no: String, over window: Widget,
    then: @escaping @MainActor (_ isYes: Bool) -> Void
  ) {
    let dialog: Widget = cgtk_question(window.window, texts.question, texts.detail)
    gtk_dialog_add_button(dialog.dialog, no, GTK_RESPONSE_CANCEL.rawValue)
    let button: Widget = gtk_dialog_add_button(dialog.dialog, yes, GTK_RESPONSE_ACCEPT.rawValue)
    button.add(class: "destructive-action")
    gtk_dialog_set_default_response(dialog.dialog, GTK_RESPONSE_CANCEL.rawValue)
    on(dialog, "response") { call in
      let isYes = call.integer(1) == GTK_RESPONSE_ACCEPT.rawValue
      gtk_window_destroy(dialog.window)
      // The answer may close the window below, which must not happen while the dialog's button still handles its click.
      MainLoop.post { then(isYes) }
    }
    gtk_window_present(dialog.window)
  }
}
