import CGtk
import ControlClient
import ControlModel
import Core

/// The application: one window, the events it lives by, and what its buttons do. `TileProgram` makes the desk, which
/// owns the window, its pages and the `Board`, on the main thread, and what waits goes to other threads (`MainLoop`).
@MainActor final class Desk {
  private let client: SocketClient
  private let only: String?
  private var board: Board
  private let bus = SessionBus()
  private var window: Widget?
  private let banner: Banner
  private var alone: TileView?
  private var tiles: TilesPage?
  private var pages: Widget?
  private var failuresInARow = 0
  private var isAsking = false

  /// - Parameter only: the id of the only item to show.
  init(client: SocketClient, only: String?) {
    self.client = client
    self.only = only
    board = Board(only: only)
    banner = Banner()
  }

  /// Until the window is closed.
  func run() -> Int32 {
    let application: UnsafeMutablePointer<GtkApplication> = gtk_application_new(
      applicationID, GApplicationFlags(rawValue: 0))
    on(application, "startup") { [self] _ in
      Style.load()
      bus.connect { [self] in
        bus.watch(FileTransfer.portal)
        DesktopStyle.follow(bus)
      }
    }
    on(application, "activate") { [self] _ in
      if window == nil { open(application) }
      if let window { gtk_window_present(window.window) }
    }
    return g_application_run(UnsafeMutableRawPointer(application).assumingMemoryBound(to: GApplication.self), 0, nil)
  }

  /// Makes one window for the same thing on the same display: a second start shows the first one's window.
  private var applicationID: String {
    let display = gdk_display_get_default().map { String(cString: gdk_display_get_name($0)) } ?? ""
    return "fsmvp.tile.x" + StableHash.hex(client.socket, only ?? "", display)
  }

  // MARK: The window

  private func open(_ application: UnsafeMutablePointer<GtkApplication>) {
    let window: Widget = gtk_application_window_new(application)
    self.window = window
    gtk_window_set_title(window.window, "FuseStream")
    let header: Widget = gtk_header_bar_new()
    gtk_window_set_titlebar(window.window, header)
    let column = Make.column()
    column.append(banner.root)
    gtk_window_set_child(window.window, column)
    let actions = TileActions(
      copy: { [self] in copy($0) }, reveal: { [self] in reveal($0) }, pin: { [self] in pin($0, $1) },
      remove: { [self] in remove($0) })
    actions.install(on: window) { [self] in board.items[$0] }
    if only != nil {
      let tile = TileView(.alone, bus, actions)
      alone = tile
      gtk_widget_set_vexpand(tile.root, 1)
      column.append(tile.root)
      gtk_header_bar_pack_end(header.opaque, tile.menu)
      gtk_window_set_default_size(window.window, 480, 320)
      gtk_window_set_focus(window.window, tile.root)
    } else {
      let pages = pages(actions)
      let switcher: Widget = gtk_stack_switcher_new()
      gtk_stack_switcher_set_stack(switcher.opaque, pages.opaque)
      gtk_header_bar_set_title_widget(header.opaque, switcher)
      column.append(pages)
      gtk_window_set_default_size(window.window, 620, 640)
    }
    on(window, "close-request") { [self] call in call.answer(isHeld()) }
    Keys(
      copy: { [self] in current.map(copy) }, remove: { [self] in current.map(remove) },
      menu: { [self] in alone?.openMenu() },
      search: { [self] in show(page: "stage") }, back: { [self] in show(page: "tiles") },
      close: { gtk_window_close(window.window) }
    ).install(on: window)
    Watch(client) { [self] in hear($0) }.start()
  }

  private func pages(_ actions: TileActions) -> Widget {
    let pages: Widget = gtk_stack_new()
    self.pages = pages
    gtk_widget_set_vexpand(pages, 1)
    gtk_stack_set_transition_type(pages.opaque, GTK_STACK_TRANSITION_TYPE_CROSSFADE)
    let tiles = TilesPage(bus, actions, item: { [self] in board.items[$0] }, stage: { [self] in show(page: "stage") })
    self.tiles = tiles
    let stage = StagePage(client) { [self] item in
      apply(.item(item))
      show(page: "tiles")
      tiles.select(board.ids.firstIndex(of: item.id) ?? 0)
      banner.show(.news, "Staged for \(PrintableText.of(item.recipient)). Drag its tile into an upload zone.")
    }
    gtk_stack_add_titled(pages.opaque, tiles.root, "tiles", "Staged")
    gtk_stack_add_titled(pages.opaque, stage.root, "stage", "Stage a file")
    on(pages, "notify::visible-child") { [self] _ in
      if shownPage == "stage" { stage.open() } else { tiles.takeFocus() }
    }
    return pages
  }

  private var shownPage: String? {
    pages.flatMap { gtk_stack_get_visible_child_name($0.opaque) }.map { String(cString: $0) }
  }

  private func show(page: String) {
    if let pages { gtk_stack_set_visible_child_name(pages.opaque, page) }
  }

  /// The item that keys mean.
  private var current: StagedItem? {
    if let only { return board.items[only] }
    return shownPage == "tiles" ? tiles?.selected.flatMap { board.items[$0] } : nil
  }

  /// - Returns: whether the window stays, for an answer.
  private func isHeld() -> Bool {
    guard let window, board.openCount > 0 else { return false }
    guard !isAsking else { return true }
    isAsking = true
    Question.ask(Words.closing(board.openCount), yes: "Close", no: "Keep open", over: window) { [self] isYes in
      isAsking = false
      if isYes { gtk_window_destroy(window.window) }
    }
    return true
  }

  // MARK: Events

  private func hear(_ signs: [EventStream.Sign]) {
    for sign in signs {
      switch sign {
      case .event(let event):
        failuresInARow = 0
        banner.set(lost: nil)
        apply(event)
        if case .notice(let notice) = event, notice.level != .info, only == nil || notice.id == nil || notice.id == only
        {
          banner.show(.problem, Words.sentence(notice.message))
        }
      case .lost(let failure):
        failuresInARow += 1
        // A single failure is mostly a control plane that is being replaced, which is back before the sentence could be
        // read.
        if failuresInARow > 1 { banner.set(lost: Words.lost(failure)) }
      case .quiet: break
      }
    }
  }

  private func apply(_ event: ControlEvent) {
    let changes = board.apply(event)
    tiles?.apply(changes) { board.items[$0] }
    if let alone, let only, !changes.isEmpty || isSnapshot(event) { alone.show(board.items[only]) }
    if case .snapshot(let snapshot) = event { show(snapshot.status.shim) }
    if case .status(let status) = event { show(status.shim) }
  }

  private func isSnapshot(_ event: ControlEvent) -> Bool {
    if case .snapshot = event { true } else { false }
  }

  private func show(_ shim: ControlStatus.Shim) {
    banner.set(
      lost: shim.state == .failed ? Words.sentence(shim.reason ?? "The mount is broken; start `fsmvp run` again.") : nil
    )
  }

  // MARK: Actions of the buttons

  private func copy(_ item: StagedItem) {
    guard let window else { return }
    let provider = FileContent.provider(for: item.path, bus)
    gdk_clipboard_set_content(gtk_widget_get_clipboard(window), provider)
    g_object_unref(provider)
    banner.show(.news, "Copied: the file for file managers, its path for text fields.")
  }

  private func reveal(_ item: StagedItem) {
    guard let window else { return }
    Reveal.show(item.path, bus, parent: window) { [self] in
      banner.show(.problem, "No file manager answers. The file is \(PrintableText.of(item.path))")
    }
  }

  private func pin(_ item: StagedItem, _ isPinned: Bool) {
    guard let body = try? ControlJSON.encode(PinRequest(pinned: isPinned)) else { return }
    send("PATCH", item, body) { [self] in apply(.item($0)) }
  }

  private func remove(_ item: StagedItem) {
    let unstage: @MainActor () -> Void = { [self] in
      send("DELETE", item, nil) { [self] _ in apply(.gone(ItemGone(id: item.id))) }
    }
    guard item.openRef > 0, let window else { return unstage() }
    Question.ask(Words.removing(item), yes: "Remove", no: "Keep", over: window) { if $0 { unstage() } }
  }

  /// - Parameter done: gets the item as it is now.
  private func send(
    _ method: String, _ item: StagedItem, _ body: [UInt8]?, done: @escaping @MainActor (StagedItem) -> Void
  ) {
    let client = client
    MainLoop.elsewhere { () -> Result<StagedItem, ClientFailure> in
      Result { () throws(ClientFailure) -> StagedItem in
        try SocketClient.decode(
          StagedItem.self, from: client.send(method, ["staged", item.id], body: body, waiting: .others))
      }
    } then: { [self] answer in
      switch answer {
      case .success(let item): done(item)
      case .failure(let failure): banner.show(.problem, Words.sentence(failure.message))
      }
    }
  }
}
