import CGtk

/// The few rules that make tiles of boxes; colours are the theme's, so that light and dark are the desktop's. They are
/// loaded once, on the main thread, and belong to GTK then.
@MainActor enum Style {
  static func load() {
    let provider: UnsafeMutablePointer<GtkCssProvider> = gtk_css_provider_new()
    gtk_css_provider_load_from_data(provider, rules, -1)
    gtk_style_context_add_provider_for_display(
      gdk_display_get_default(), OpaquePointer(provider), UInt32(GTK_STYLE_PROVIDER_PRIORITY_APPLICATION))
    g_object_unref(provider)
    gtk_window_set_default_icon_name("fsmvp-tile")
  }

  private static let rules = """
    @define-color fsmvp_accent mix(@theme_selected_bg_color, @theme_text_color, 0.25);
    .tile { border-radius: 12px; border: 1px solid alpha(@theme_fg_color, 0.14); background: @theme_base_color; color: @theme_text_color; }
    .tile.row { padding: 12px 8px 12px 14px; }
    .tile.alone { padding: 20px; margin: 12px; }
    .tile:hover { border-color: alpha(@fsmvp_accent, 0.7); }
    .tile:focus-visible, listview.tiles > row:selected > .tile { outline: none; border-color: @fsmvp_accent;
      box-shadow: 0 0 0 1px @fsmvp_accent; }
    .tile button.flat, .tile menubutton > button.toggle { color: @theme_text_color; }
    .name, .big { font-weight: bold; }
    .tile.alone .name { font-size: 1.25em; }
    .big { font-size: 1.3em; }
    .fact { opacity: 0.72; }
    .figure { font-feature-settings: "tnum"; }
    .tile.open .state { color: mix(@theme_text_color, @theme_selected_bg_color, 0.5); font-weight: bold; }
    .tile.failed .state { color: mix(@theme_text_color, @error_color, 0.75); }
    progressbar > trough, progressbar > trough > progress { min-height: 6px; border-radius: 3px; border: none;
      margin: 0; }
    progressbar > trough { background: alpha(@theme_fg_color, 0.12); min-width: 60px; }
    progressbar.fetched > trough > progress { background: alpha(@fsmvp_accent, 0.55); }
    progressbar.read > trough > progress { background: @fsmvp_accent; }
    listview.tiles, listview.choices { background: transparent; padding: 6px; }
    listview.tiles > row { background: transparent; color: @theme_text_color; padding: 5px 8px; outline: none;
      border-radius: 14px; }
    listview.choices > row { border-radius: 10px; padding: 8px 12px; margin: 1px 6px; }
    .job-search { padding: 12px 12px 6px 12px; }
    .job-status { padding: 6px 18px; }
    .form { padding: 12px; border-top: 1px solid alpha(@theme_fg_color, 0.14); }
    .banner { padding: 10px 16px; border-bottom: 1px solid alpha(@theme_fg_color, 0.14); }
    .banner.news { background: alpha(@theme_selected_bg_color, 0.15); }
    .banner.problem, .banner.lost { background: alpha(@warning_color, 0.22); }
    .drag { padding: 8px 14px 8px 10px; border-radius: 10px; background: @theme_base_color; color: @theme_text_color;
      border: 1px solid alpha(@theme_fg_color, 0.25); }

    """
}
