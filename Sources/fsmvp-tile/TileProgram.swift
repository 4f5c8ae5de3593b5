import CGtk
import ControlClient
import ControlModel
import Core
import Glibc
import Settings

/// The executable: reads the command line, makes sure that there is something to show and somewhere to show it, and runs the window.
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
      guard let text = String(validatingCString: argument) else { throw TileFailure(.usage, "argument \(index) is not UTF-8 text") }
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
    do throws(SettingsError) { settings = try Settings.load(.process(configFlag: arguments.config)) } catch {
      throw TileFailure(.usage, error.sentence)
    }
    let client: SocketClient
    do throws(ClientFailure) { client = try SocketClient(socket: settings.apiSocket) } catch { throw TileFailure(error) }
    // The desktop's files find us by this name: icon and window belong together.
    g_set_prgname("fsmvp-tile")
    guard gtk_init_check() != 0 else {
      throw TileFailure(.failed, "there is no display to open a window on; set WAYLAND_DISPLAY or DISPLAY, or use `fsmvp` on a terminal")
    }
    let id = try shown(item, client, waits: arguments.waits)
    let code = Desk(client: client, only: id).run()
    // Threads may be waiting for the control plane or MediaHub, and nobody waits for them.
    fflush(nil)
    _exit(code)
  }

  /// - Parameter item: an id or a path.
  /// - Returns: the id.
  private static func shown(_ item: String?, _ client: SocketClient, waits: Bool) throws(TileFailure) -> String? {
    let items: [StagedItem]
    do throws(ClientFailure) {
      items = try SocketClient.decode([StagedItem].self, from: client.send("GET", ["staged"]))
    } catch {
      let failure = TileFailure(error)
      guard waits, failure.code == .noControlPlane else { throw failure }
      return item
    }
    guard let item else { return nil }
    guard let found = items.first(where: { $0.id == item || $0.path == item }) else {
      throw TileFailure(.noSuchItem, "nothing is staged under “\(item)”; `fsmvp staged` lists what is")
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
