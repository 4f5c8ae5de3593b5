import ControlAPI
import ControlModel
import Glibc
import Wire

/// The executable: reads the command line, runs the verb, turns its failure into a sentence and an exit code.
enum Program {
  static func main() -> Int32 {
    do {
      let invocation = try Invocation(arguments: try arguments())
      return try run(invocation)
    } catch {
      Terminal.standardError.write("fsmvp: \(DisplayText.printable(error.message))\n")
      return error.code.rawValue
    }
  }

  /// The command line as text. An argument that is none is refused, not repaired: a repaired recipient would mark the file for somebody else.
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

  private static func run(_ invocation: Invocation) throws(CommandFailure) -> Int32 {
    let output = Terminal.standardOutput
    switch invocation.command {
    case .help(let verb): try output.print(Help.text(verb))
    case .version(isABI: false): try output.print("fsmvp \(APIClient.version)\n")
    case .version(isABI: true): try output.print("\(WireProtocol.abi)\n")
    case .run(let arguments): return Run.main(arguments)
    case .config(let isJSON): try ConfigVerb.run(config: invocation.config, isJSON: isJSON, output: output)
    case .ui(let isPrinting): try UIVerb.run(isPrinting: isPrinting, client: try client(invocation), output: output)
    case .jobs(let query): try JobsVerb.run(query, client: try client(invocation), output: output)
    case .stage(let order): try StageVerb.run(order, config: invocation.config, client: try client(invocation), output: output)
    case .staged(let isJSON): try StagedVerb.run(isJSON: isJSON, client: try client(invocation), output: output)
    case .unstage(let what, let isJSON):
      try UnstageVerb.run(what, isJSON: isJSON, client: try client(invocation), output: output)
    case .pin(let order): try PinVerb.run(order, client: try client(invocation), output: output)
    case .status(let isJSON): try StatusVerb.run(isJSON: isJSON, client: try client(invocation), output: output)
    case .watch: try WatchVerb.run(client: try client(invocation), output: output)
    case .trace(let isJSON): try TraceVerb.run(isJSON: isJSON, client: try client(invocation), output: output)
    case .shim(let order, let isJSON): try ShimVerb.run(order, isJSON: isJSON, client: try client(invocation), output: output)
    case .reload(let isJSON): try ReloadVerb.run(isJSON: isJSON, client: try client(invocation), output: output)
    case .cache(let isJSON): try CacheVerb.show(isJSON: isJSON, client: try client(invocation), output: output)
    case .clearCache(let isJSON): try CacheVerb.clear(isJSON: isJSON, client: try client(invocation), output: output)
    case .clearOrphans(let isJSON): try CacheVerb.clearOrphans(config: invocation.config, isJSON: isJSON, output: output)
    case .completions(let what): try CompletionsVerb.run(what, config: invocation.config, output: output)
    case .man(let page): try output.print(page.text)
    case .stop(let forget): try StopVerb.run(forget: forget, client: try client(invocation), output: output)
    }
    return ExitCode.done.rawValue
  }

  private static func client(_ invocation: Invocation) throws(CommandFailure) -> APIClient {
    try APIClient(socket: try ClientSettings.load(config: invocation.config).apiSocket)
  }
}
