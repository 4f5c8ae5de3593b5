import Glibc
import SettingsModel
import Syntax
import TerminalUI

/// The program `fsmvp` without its server: reads the command line, runs the verb, turns its failure into a sentence and
/// an exit code. A verb runs on the main thread, and its state ends with the process.
package enum Program {
  /// The parts of the server that verbs lead to without its API.
  package struct Server {
    /// `fsmvp run`: returns the exit code.
    var run: (RunArguments) -> Int32
    /// The number of the protocol between control plane and shim.
    var abi: UInt32

    package init(run: @escaping (RunArguments) -> Int32, abi: UInt32) { (self.run, self.abi) = (run, abi) }
  }

  /// - Parameter groups: every setting of the program.
  /// - Returns: the exit code.
  package static func main(_ server: Server, settings groups: [any SettingGroup]) -> Int32 {
    InheritedState.secure()
    do throws(CommandFailure) {
      guard InheritedState.hasProc else {
        throw CommandFailure(
          .failed,
          "/proc is not mounted, and nothing of fsmvp works without it: mount it (`mount -t proc proc /proc`), also in "
            + "a container"
        )
      }
      let invocation = try Invocation(arguments: try arguments())
      return try run(invocation, server, ClientSettings(groups: groups, config: invocation.config))
    } catch {
      Terminal.standardError.write("fsmvp: \(DisplayText.printable(error.message))\n")
      return error.code.rawValue
    }
  }

  /// The command line as text. An argument that is not UTF-8 is refused, not repaired: a repaired recipient would stage
  /// the file for another one.
  private static func arguments() throws(CommandFailure) -> [String] {
    var texts: [String] = []
    for index in 1..<max(1, Int(CommandLine.argc)) {
      guard let argument = CommandLine.unsafeArgv[index] else { break }
      guard let text = String(validatingCString: argument) else {
        throw CommandFailure(.usage, "argument \(index) is not UTF-8 text")
      }
      texts.append(text)
    }
    return texts
  }

  private static func run(_ invocation: Invocation, _ server: Server, _ settings: ClientSettings) throws(CommandFailure)
    -> Int32
  {
    let output = Terminal.standardOutput
    switch invocation.command {
    case .help(let verb): try output.print(Help.text(verb))
    case .version(isABI: false): try output.print("fsmvp \(APIClient.version)\n")
    case .version(isABI: true): try output.print("\(server.abi)\n")
    case .run(let arguments): return server.run(arguments)
    case .config(let isJSON): try ConfigVerb.run(settings, isJSON: isJSON, output: output)
    case .ui(let isPrinting): try UIVerb.run(isPrinting: isPrinting, client: try client(settings), output: output)
    case .jobs(let query): try JobsVerb.run(query, client: try client(settings), output: output)
    case .stage(let order):
      try StageVerb.run(order, config: invocation.config, client: try client(settings), output: output)
    case .staged(let isJSON): try StagedVerb.run(isJSON: isJSON, client: try client(settings), output: output)
    case .unstage(let what, let isJSON):
      try UnstageVerb.run(what, isJSON: isJSON, client: try client(settings), output: output)
    case .pin(let order): try PinVerb.run(order, client: try client(settings), output: output)
    case .status(let isJSON): try StatusVerb.run(isJSON: isJSON, client: try client(settings), output: output)
    case .watch: try WatchVerb.run(client: try client(settings), output: output)
    case .trace(let isJSON): try TraceVerb.run(isJSON: isJSON, client: try client(settings), output: output)
    case .shim(let order, let isJSON):
      try ShimVerb.run(order, isJSON: isJSON, client: try client(settings), output: output)
    case .reload(let isJSON): try ReloadVerb.run(isJSON: isJSON, client: try client(settings), output: output)
    case .cache(let isJSON): try CacheVerb.show(isJSON: isJSON, client: try client(settings), output: output)
    case .clearCache(let isJSON): try CacheVerb.clear(isJSON: isJSON, client: try client(settings), output: output)
    case .clearOrphans(let isJSON): try CacheVerb.clearOrphans(settings, isJSON: isJSON, output: output)
    case .makeBucket(let name, let isJSON):
      try BucketVerb.create(name, isJSON: isJSON, client: try client(settings), output: output)
    case .buckets(let isJSON): try BucketVerb.list(isJSON: isJSON, client: try client(settings), output: output)
    case .completions(let what): try CompletionsVerb.run(what, settings: settings, output: output)
    case .man(let page): try output.print(page.text(settings.groups))
    case .stop(let order): try StopVerb.run(order, client: try client(settings), output: output)
    }
    return ExitCode.done.rawValue
  }

  private static func client(_ settings: ClientSettings) throws(CommandFailure) -> APIClient {
    try APIClient(socket: try settings.load().apiSocket)
  }
}
