import CLinux
import ControlClient
import ControlModel
import Core
import Glibc
import Syntax
import TerminalUI

/// `fsmvp cache`, `fsmvp cache clear`; and `fsmvp cache clear --orphans`, which needs no control plane. The first two
/// ask the control API, the third deletes files (`OrphanFolder`); no state is kept.
enum CacheVerb {
  static func show(isJSON: Bool, client: APIClient, output: Terminal) throws(CommandFailure) {
    let body = try client.send("GET", ["cache"])
    if isJSON { return try output.print(json: body) }
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    try output.print(
      text(try APIClient.decode(CacheReport.self, from: body), now: Int64(now.tv_sec), width: output.width))
  }

  static func clear(isJSON: Bool, client: APIClient, output: Terminal) throws(CommandFailure) {
    let body = try client.send("DELETE", ["cache"], waiting: .others("dropping bytes"))
    if isJSON { return try output.print(json: body) }
    let cleared = try APIClient.decode(CacheCleared.self, from: body)
    let what = "\(cleared.items) item\(cleared.items == 1 ? "" : "s")"
    try output.print(
      cleared.items == 0 ? "Nothing was to be dropped.\n" : "\(ByteCount.format(cleared.bytes)) of \(what) freed\n")
  }

  /// - Parameter now: seconds since 1970.
  static func text(_ report: CacheReport, now: Int64, width: Int?) -> String {
    func size(_ bytes: Int64) -> String { ByteCount.format(bytes) }
    var lines = [
      "folder     \(DisplayText.printable(report.folder))",
      "here       \(size(report.bytes)), and \(size(report.reserved)) reserved, of at most \(size(report.limit)) "
        + "(`max_cache`)",
      "free       \(size(report.free)) on the disk, of which \(size(report.minFree)) stay free (`min_free`)",
    ]
    if report.leftovers.files > 0 {
      lines.append(
        "left       \(size(report.leftovers.bytes)) in \(report.leftovers.files) "
          + "file\(report.leftovers.files == 1 ? "" : "s") by earlier runs, "
          + "for their next open")
    }
    if report.leaving > 0 { lines.append("leaving    \(size(report.leaving)) dropped and not free yet") }
    if report.windowLimit > 0 {
      lines.append("in memory  \(size(report.windowBytes)) of at most \(size(report.windowLimit))")
    }
    let head = lines.joined(separator: "\n") + "\n"
    guard !report.items.isEmpty else { return head }
    var table = TextTable([
      .text("ID"), .text("NAME", isCuttable: true), .number("BYTES"), .text("PINNED"), .text("LAST USED"),
    ])
    for item in report.items {
      table.add([item.id, item.name, size(item.bytes), item.pinned ? "yes" : "no", used(item, now: now)])
    }
    return head + "\n" + table.render(width: width)
  }

  private static func used(_ item: CacheReport.Item, now: Int64) -> String {
    if item.open { return "open" }
    guard let seconds = item.lastUsed.map({ max(0, now - $0) }) else { return "never" }
    switch seconds {
    case ..<60: return "\(seconds) s ago"
    case ..<3600: return "\(seconds / 60) min ago"
    case ..<86_400: return "\(seconds / 3600) h ago"
    default: return "\(seconds / 86_400) d ago"
    }
  }

  struct Report: Encodable, Equatable {
    var folders: [OrphanFolder] = []
    /// In all, on the disk.
    var bytes: Int64 = 0
  }

  static func clearOrphans(_ settings: ClientSettings, isJSON: Bool, output: Terminal) throws(CommandFailure) {
    let settings = try settings.load()
    let own = InstanceID.read(from: settings.stateFolder)
    var report = Report()
    for cache in settings.bytesFolders { report.folders += try OrphanFolder.clear(in: cache, except: own) }
    report.bytes = report.folders.reduce(0) { $0 + $1.bytes }
    guard isJSON else { return try output.print(text(report)) }
    guard let json = try? ControlJSON.encode(report) else {
      throw CommandFailure(.failed, "the report cannot be written as JSON")
    }
    try output.print(json: json)
  }

  static func text(_ report: Report) -> String {
    guard !report.folders.isEmpty else { return "No orphan's bytes were found.\n" }
    let lines = report.folders.map { folder in
      let what = "\(folder.files) file\(folder.files == 1 ? "" : "s"), \(ByteCount.format(folder.bytes))"
      let rest = folder.isRemoved ? "" : "; the folder stays, as something else is in it"
      return "cleared \(DisplayText.printable(folder.path)): \(what)\(rest)\n"
    }
    return lines.joined() + "\(ByteCount.format(report.bytes)) freed\n"
  }
}
