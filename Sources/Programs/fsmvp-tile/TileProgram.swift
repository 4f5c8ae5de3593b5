import CGtk
import ControlClient
import ControlModel
import Core
import Glibc
import Settings

/// The executable: reads the command line, makes sure that there is something to show and somewhere to show it, and
/// runs the window. It runs on the main thread and has no state but the `Desk`.
@MainActor enum TileProgram {
  static func main() -> Int32 {
    do throws(TileFailure) {
      return try run(TileArguments(try arguments()))
    } catch {
      write("fsmvp-tile: \(PrintableText.of(error.message))\n", to: 2)
      return error.code.rawValue
    }
  }

  /// The command line as text. An argument that is none is refused, not repaired.
  private static func arguments() throws(TileFailure) -> [String] {
    var texts: [String] = []
    for index in 1..<max(1, Int(CommandLine.argc)) {
      guard let argument = CommandLine.unsafeArgv[index] else { break }
      guard let text = String(validatingCString: argument) else {
        throw TileFailure(.usage, "argument \(index) is not UTF-8 text")
      }
      texts.append(text)
    }
    return texts
  }

  private static func run(_ arguments: TileArguments) throws(TileFailure) -> Int32 {
    switch arguments.wish {
    case .help: write(TileArguments.help, to: 1)
    case .version: write("fsmvp-tile \(SocketClient.version)\n", to: 1)
    case .window(let item): return try window(item, arguments)
    }
    return 0
  }

  private static func window(_ item: String?, _ arguments: TileArguments) throws(TileFailure) -> Int32 {
    let settings: Settings
    do throws(SettingsError) {
      // It asks for the socket alone: the control plane judges the rest of the file.
      settings = try Settings.load([FolderSettings()], .process(configFlag: arguments.config), ignoresOthers: true)
    } catch {
      throw TileFailure(.usage, error.sentence)
    }
    let client: SocketClient
    do throws(ClientFailure) { client = try SocketClient(socket: settings.apiSocket) } catch {
      throw TileFailure(error)
    }
    // The desktop's files find us by this name: icon and window belong together.
    g_set_prgname("fsmvp-tile")
    guard gtk_init_check() != 0 else {
      throw TileFailure(
        .failed, "there is no display to open a window on; set WAYLAND_DISPLAY or DISPLAY, or use `fsmvp` on a terminal"
      )
    }
    let id = try shown(item, client, waits: arguments.waits)
    let code = Desk(client: client, only: id).run()
    // Threads may still wait for the control plane or MediaHub; the process ends without them.
    fflush(nil)
    _exit(code)
  }

  /// - Parameter item: an id or a path.
  /// - Returns: the id.
  private static func shown(_ item: String?, _ client: SocketClient, waits: Bool) throws(TileFailure) -> String? {
    guard let wanted = item.map({ FileAddress.path($0) ?? $0 }) else {
      do throws(ClientFailure) { _ = try client.send("GET", ["status"]) } catch {
        let failure = TileFailure(error)
        guard waits, failure.code == .noControlPlane else { throw failure }
      }
      return nil
    }
    var found: StagedItem?
    do throws(ClientFailure) {
      try client.staged { body throws(ClientFailure) in
        found = try SocketClient.decode([StagedItem].self, from: body).first { $0.id == wanted || $0.path == wanted }
        return found == nil
      }
    } catch {
      let failure = TileFailure(error)
      guard waits, failure.code == .noControlPlane else { throw failure }
      return wanted
    }
    guard let found else {
      throw TileFailure(.noSuchItem, "nothing is staged under “\(wanted)”; `fsmvp staged` lists what is")
    }
    return found.id
  }

  private static func write(_ text: String, to descriptor: Int32) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      guard count > 0 || errno == EINTR else { return }
      rest = rest.dropFirst(max(0, count))
    }
  }
}
