import CGtk
import ControlClient
import ControlModel
import Core

/// Staging from the window: search a job, choose one of its files, name its recipient. `Desk` makes the page, which
/// owns the search and the form, on the main thread, and the control API is asked on other threads.
@MainActor final class StagePage {
  let root = Make.column()
  private let client: SocketClient
  private let entry: Widget = gtk_search_entry_new()
  private let list: IDList<ChoiceRow>
  private let status = Make.paragraph("", "fact", "job-status")
  private var form: StageForm!
  private var search = JobSearch()
  private var isOpened = false
  private var isStaging = false
  private let staged: @MainActor (StagedItem) -> Void

  /// - Parameter staged: an item was staged, or stood already.
  init(_ client: SocketClient, staged: @escaping @MainActor (StagedItem) -> Void) {
    self.client = client
    self.staged = staged
    let rows = Choices()
    list = IDList(style: "choices", make: ChoiceRow.init, root: { $0.root }, show: { row, id in row.show(rows.of(id)) })
    form = StageForm { [self] recipient in stage(for: recipient) }
    rows.of = { [self] id in Int(id).flatMap { search.choices.indices.contains($0) ? search.choices[$0] : nil } }
    list.view.setAccessible(label: "Files of finished jobs")
    gtk_search_entry_set_search_delay(entry.opaque, 200)
    gtk_widget_set_hexpand(entry, 1)
    entry.setAccessible(label: "Search jobs")
    let top = Make.row(spacing: 8)
    top.add(class: "job-search")
    top.append(entry, Make.iconButton("view-refresh-symbolic", "Ask again") { [self] in ask(search.again()) })
    root.append(top, list.scroller, status, form.root)
    on(entry, "search-changed") { [self] _ in
      // The entry also emits this once without any typing.
      if isOpened { ask(search.typed(text)) }
    }
    on(entry, "activate") { [self] _ in gtk_widget_grab_focus(list.view) }
    list.onSelection { [self] in showForm() }
    list.onActivate { [self] _ in form.takeFocus() }
    list.onEnd { [self] in ask(search.reachedEnd()) }
  }

  /// The choices behind the rows' ids; set once the page that knows them exists.
  private final class Choices { var of: @MainActor (String) -> JobSearch.Choice? = { _ in nil } }

  /// The page is looked at.
  func open() {
    isOpened = true
    gtk_widget_grab_focus(entry)
    if search.total == nil { ask(search.typed(text)) }
    let client = client
    MainLoop.elsewhere {
      (try? client.send("GET", ["recipients"])).flatMap { try? SocketClient.decode([String].self, from: $0) }
    } then: { [self] recipients in
      // A control plane of before does not keep them.
      if let recipients { form.offer(recipients) }
    }
  }

  private var text: String { String(cString: gtk_editable_get_text(entry.opaque)) }

  // MARK: Searching

  private func ask(_ question: JobSearch.Question?) {
    showStatus()
    guard let question else { return }
    let client = client
    MainLoop.elsewhere { () -> Result<MediaHubPage, ClientFailure> in
      Result { () throws(ClientFailure) -> MediaHubPage in
        var query = [("start", "\(question.start)"), ("limit", "\(JobSearch.page)")]
        if !question.text.isEmpty { query.append(("search", question.text)) }
        return try SocketClient.decode(
          MediaHubPage.self, from: client.send("GET", ["jobs"], query: query, waiting: .others))
      }
    } then: { [self] answer in
      let next: JobSearch.Question?
      switch answer {
      case .success(let page):
        let before = search.choices
        next = search.answered(page)
        // Rows that stay are left alone, and with them what is chosen.
        let known = zip(before, search.choices).prefix { $0 == $1 }.count
        list.splice(
          at: known, removing: list.count - known, adding: (known..<max(known, search.choices.count)).map(String.init))
        showForm()
      case .failure(let failure): next = search.failed(failure.message)
      }
      ask(next)
    }
  }

  private func showStatus() { gtk_label_set_text(status.opaque, Words.found(search)) }

  private var chosen: JobSearch.Choice? {
    list.selected.flatMap(Int.init).flatMap { search.choices.indices.contains($0) ? search.choices[$0] : nil }
  }

  private func showForm() {
    guard let chosen else { return form.show("Choose a file above", isReady: false) }
    form.show("\(PrintableText.of(chosen.output.name)) · \(ByteCount.format(chosen.output.size))", isReady: !isStaging)
  }

  // MARK: Staging

  private func stage(for recipient: String) {
    guard let chosen, !isStaging else { return }
    isStaging = true
    form.show("Staging \(PrintableText.of(chosen.output.name))…", isReady: false)
    let client = client
    MainLoop.elsewhere { () -> Result<StagedItem, ClientFailure> in
      Result { () throws(ClientFailure) -> StagedItem in
        guard let body = try? ControlJSON.encode(StageRequest(file: chosen.output.fileId, recipient: recipient)) else {
          throw ClientFailure(.failed, "the order cannot be written")
        }
        return try SocketClient.decode(
          StagedItem.self, from: client.send("POST", ["staged"], body: body, waiting: .others))
      }
    } then: { [self] answer in
      isStaging = false
      showForm()
      switch answer {
      case .success(let item):
        form.add(recipient)
        staged(item)
      case .failure(let failure): form.show(Words.sentence(failure.message), isReady: true)
      }
    }
  }
}

/// One file that can be staged.
@MainActor struct ChoiceRow {
  let root = Make.row(spacing: 12)
  private let icon = FileIcon.image(for: "", size: 32)
  private let job = Make.line("", "name", cut: PANGO_ELLIPSIZE_MIDDLE)
  private let output = Make.line("", "fact", cut: PANGO_ELLIPSIZE_MIDDLE)
  private let size = Make.line("", "fact", "figure")

  init() {
    root.add(class: "choice")
    let lines = Make.column(spacing: 2)
    gtk_widget_set_hexpand(lines, 1)
    lines.append(job, output)
    root.append(icon, lines, size)
  }

  func show(_ choice: JobSearch.Choice?) {
    guard let choice else { return }
    FileIcon.set(icon, for: choice.output.name)
    gtk_label_set_text(job.opaque, PrintableText.of(choice.job))
    gtk_label_set_text(output.opaque, Words.output(choice))
    gtk_label_set_text(size.opaque, ByteCount.format(choice.output.size))
    root.setRowLabel(
      [PrintableText.of(choice.job), Words.output(choice), ByteCount.format(choice.output.size)].joined(separator: ", ")
    )
  }
}
