import ControlClient
import Glibc
import MediaHubSim
import Telemetry

/// The demo's instructions for a first use. They are printed once, when the mount is there; nothing is kept.
enum Demo {
  /// Lines to copy into a second terminal, as this instance has to be called.
  /// - Parameter hasPage: false: the configuration says that there is none.
  static func sayWhatToType(mount: String, hasPage: Bool) {
    let program = command("fsmvp")
    var ways: [(title: String, lines: [String])] = []
    if hasPage {
      ways.append(
        ("the page", ["\(program) ui", "opens it in your browser: choose a video, say who it is for, stage it"]))
    }
    if access(tile, X_OK) == 0 {
      ways.append(("the tile", [command("fsmvp-tile"), "a window whose tiles can be dragged into any upload zone"]))
    }
    ways.append(
      (
        ways.isEmpty ? "type" : "or type",
        [
          "\(program) jobs", "\(program) stage \(Catalog.demoFile) --recipient \"Jane at the agency\"",
          "gives a path: drag it into an upload zone, play it, copy it; see", "\(program) staged",
        ]
      ))
    let lines = ways.map { way in
      way.lines.enumerated().map { index, line in
        "  \(index == 0 ? way.title.padded(to: 13) : String(repeating: " ", count: 13))\(line)\n"
      }.joined()
    }
    Log.say(
      """

      FuseStream demo: without credentials, a MediaHub on this machine serves made-up videos that really play.
      In a second terminal:

      \(lines.joined())
        It is mounted at \(mount); Ctrl-C here ends it.

      """)
  }

  private static var tile: String { Installation.folder + "/fsmvp-tile" }

  /// A program beside this one, with the variables another terminal lacks.
  private static func command(_ name: String) -> String {
    let names = ["FSMVP_RUNTIME_DIR", "FSMVP_CONFIG"]
    let variables = names.compactMap { name in
      getenv(name).map { "\(name)=\(quoted(String(cString: $0))) " }
    }
    let called = CommandLine.arguments.first ?? "fsmvp"
    let folder = called.lastIndex(of: "/").map { called[...$0] } ?? ""
    return variables.joined() + quoted(name == "fsmvp" ? called : folder + name)
  }

  private static func quoted(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { $0 >= 0x2d && $0 < 0x7f && !"<>?;[\\]^`{|}".utf8.contains($0) }
    return isPlain ? text : "'" + text.replacing("'", with: "'\\''") + "'"
  }
}

extension String {
  fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}
