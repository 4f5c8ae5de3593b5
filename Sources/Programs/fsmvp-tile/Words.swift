import ControlClient
import ControlModel
import Core

/// The window's texts: figures and states in words. Names and tags go through `PrintableText`. These are pure
/// functions.
enum Words {
  // MARK: A tile

  static func name(_ item: StagedItem) -> String { PrintableText.of(item.name) }

  static func recipient(_ item: StagedItem) -> String { "for " + PrintableText.of(item.recipient) }

  static func state(_ item: StagedItem) -> String {
    switch item.state {
    case .failed: sentence(item.failure ?? "The last fetch gave up. The next read tries again.")
    case .leaving: "Removed; \(reading(item) ?? "somebody is reading it") to the end"
    case .open: reading(item) ?? "Somebody is reading it"
    case .ready: ready(item)
    }
  }

  private static func ready(_ item: StagedItem) -> String {
    if item.pinned, item.bytesFetched < item.size, !item.windowed { return "Being fetched, to be kept here" }
    if item.size > 0, item.bytesRead >= item.size { return "Read to its end; drag it again as you like" }
    return "Ready: drag it into an upload zone"
  }

  /// The readers by name; nil if no process is known by name.
  private static func reading(_ item: StagedItem) -> String? {
    var names: [String] = []
    for reader in item.readers where !reader.process.isEmpty && !names.contains(reader.process) {
      names.append(reader.process)
    }
    guard let first = names.first.map(PrintableText.of) else { return nil }
    switch names.count {
    case 1: return "\(first) is reading it"
    case 2: return "\(first) and \(PrintableText.of(names[1])) are reading it"
    default: return "\(first) and \(names.count - 1) others are reading it"
    }
  }

  static func size(_ item: StagedItem) -> String { ByteCount.format(item.size) + (item.pinned ? " · pinned" : "") }

  /// "2.5 MiB/s"; "" for what does not move.
  static func rate(_ rate: Int64?) -> String { rate.map { $0 > 0 ? "\(ByteCount.format($0))/s" : "" } ?? "" }

  static func left(_ item: StagedItem) -> String { item.etaSeconds.map { "\(span($0)) left" } ?? "" }

  /// A tile in one sentence, for a screen reader.
  static func whole(_ item: StagedItem) -> String {
    "\(name(item)), \(recipient(item)), \(size(item)). \(sentence(state(item)))"
  }

  // MARK: Figures

  static func fetched(_ item: StagedItem) -> Int { ByteCount.percent(item.bytesFetched, of: item.size) }
  static func read(_ item: StagedItem) -> Int { ByteCount.percent(item.bytesRead, of: item.size) }

  /// "8 s", "3 min", "1 h 20 min".
  static func span(_ seconds: Int64) -> String {
    switch seconds {
    case ..<60: "\(max(0, seconds)) s"
    case ..<3600: "\((seconds + 30) / 60) min"
    default: seconds % 3600 < 60 ? "\(seconds / 3600) h" : "\(seconds / 3600) h \(seconds % 3600 / 60) min"
    }
  }

  // MARK: Sentences

  /// A failure's sentence as a person reads it in a window: with a capital, and with an end.
  static func sentence(_ text: String) -> String {
    let text = PrintableText.of(text)
    guard let first = text.first else { return "" }
    return first.uppercased() + text.dropFirst() + (".!?".contains(text.last ?? ".") ? "" : ".")
  }

  /// The sentence to show while there are no events.
  static func lost(_ failure: ClientFailure) -> String {
    switch failure.kind {
    case .noControlPlane, .refused(code: ControlError.Code.stopping.rawValue):
      "The control plane is away. What is being read goes on; this window does, too, as soon as `fsmvp run` is back."
    case .usage, .failed, .refused: sentence(failure.message)
    }
  }

  static func closing(_ count: Int) -> (question: String, detail: String) {
    (
      count == 1 ? "An upload is running" : "\(count) uploads are running",
      (count == 1 ? "It goes" : "They go")
        + " on even if this window closes. What feeds uploads is the control plane, not this window."
    )
  }

  static func removing(_ item: StagedItem) -> (question: String, detail: String) {
    (
      "Remove “\(name(item))” while it is being read?",
      "Whoever has it open reads on to the end. Nobody can open it any more, and a page that wants to read it again "
        + "fails."
    )
  }

  /// The line for a file below its job's name.
  static func output(_ choice: JobSearch.Choice) -> String {
    let name = choice.output.name == choice.job ? "" : choice.output.name
    return [name, choice.output.contentType].filter { !$0.isEmpty }.map(PrintableText.of).joined(separator: " · ")
  }

  /// Text as the label of a menu's entry, where an underscore would mark a letter.
  static func menuText(_ text: String) -> String {
    PrintableText.of(text).split(separator: "_", omittingEmptySubsequences: false).joined(separator: "__")
  }

  static func found(_ search: JobSearch) -> String {
    switch search.state {
    case .failed(let sentence): return Self.sentence(sentence)
    case .asking: return "Asking MediaHub…"
    case .idle:
      guard let total = search.total else { return "" }
      let text = search.shown ?? ""
      if total == 0 {
        return text.isEmpty
          ? "MediaHub has no finished job yet." : "No job's name has “\(PrintableText.of(text))” in it."
      }
      if search.choices.isEmpty { return "No file that could be staged." }
      return total == 1 ? "1 job" : "\(total) jobs"
    }
  }
}
