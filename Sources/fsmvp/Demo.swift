import Glibc
import MediaHubSim

/// What the demo tells a person who has never used it.
enum Demo {
  /// Lines to copy into a second terminal, as this instance has to be called.
  static func sayWhatToType(mount: String) {
    let program = command()
    Terminal.standardError.write(
      """

      FuseStream demo: without credentials, a MediaHub on this machine serves made-up videos that really play.

        mounted at   \(mount)
        what is there
                     \(program) jobs
        get a path
                     \(program) stage \(Catalog.demoFile) --recipient "Jane at the agency"
        then drag that path into any upload zone, play it, or copy it; see
                     \(program) staged
        Ctrl-C here ends it.

      """)
  }

  /// This program, with the variables another terminal lacks.
  private static func command() -> String {
    let names = ["FSMVP_RUNTIME_DIR", "FSMVP_CONFIG"]
    let variables = names.compactMap { name in
      getenv(name).map { "\(name)=\(quoted(String(cString: $0))) " }
    }
    return variables.joined() + quoted(CommandLine.arguments.first ?? "fsmvp")
  }

  private static func quoted(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { $0 >= 0x2d && $0 < 0x7f && !"<>?;[\\]^`{|}".utf8.contains($0) }
    return isPlain ? text : "'" + text.replacing("'", with: "'\\''") + "'"
  }
}
