import CLinux
import ControlAPI
import Core
import Glibc

/// `fsmvp cache clear --orphans`: needs no control plane.
enum CacheVerb {
  struct Report: Encodable, Equatable {
    var folders: [OrphanFolder] = []
    /// In all, on the disk.
    var bytes: Int64 = 0
  }

  static func run(config: String?, isJSON: Bool, output: Terminal) throws(CommandFailure) {
    let settings = try ControlSocket.settings(config: config)
    let own = Folders.knownInstance(in: settings.stateFolder)
    var report = Report()
    for cache in settings.bytesFolders { report.folders += try OrphanFolder.clear(in: cache, except: own) }
    report.bytes = report.folders.reduce(0) { $0 + $1.bytes }
    guard isJSON else { return try output.print(text(report)) }
    guard let json = try? ControlJSON.encode(report) else { throw CommandFailure(.failed, "the report cannot be written as JSON") }
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
