import Core
import Glibc

/// The program `mediahub-sim`: a simulator in a process of its own, for tests that are not Swift.
package enum MediaHubSimProgram {
  package static let usage = """
    usage: mediahub-sim [options]
    A MediaHub that serves files which do not exist, on a port of 127.0.0.1. Prints "ready base=URL" when it listens;
    ends on SIGTERM or SIGINT.

      --port N                 the port; 0, the default, is any free one
      --demo                   the demo catalog: some 25 jobs, up to 6 GiB
      --file ID:SIZE:NAME      a file of noise; ID is 24 hex digits; may be repeated
      --video ID:SIZE:NAME     an MP4 that plays, from 2 MiB on; with its index last where NAME ends in .mov
      --rate BYTES             bytes a second of all downloads together, as 40MiB; unlimited by default
      --rate-per-connection BYTES
      --client-id ID           demo-client by default
      --client-secret SECRET   demo-secret by default
      --help

    Admin routes, JSON bodies: POST /_sim/set, fault, gate, release, revoke, change, file, reset; GET /_sim/stats, /_sim/content?file=&tag=.

    """

  /// What the arguments ask for; nil for the help.
  package static func parse(_ arguments: [String]) throws(SimulatorError) -> Simulator.Options? {
    var options = Simulator.Options()
    options.rangeLog = 100_000
    var files: [CatalogFile] = []
    var rest = arguments[...]
    while let flag = rest.popFirst() {
      switch flag {
      case "--help", "-h": return nil
      case "--demo":
        options.catalog = .demo
        continue
      default: break
      }
      guard flag.hasPrefix("--") else { throw SimulatorError("unexpected argument '\(flag)'") }
      guard let value = rest.popFirst() else { throw SimulatorError("\(flag) needs a value") }
      switch flag {
      case "--port":
        guard let port = UInt16(value) else { throw SimulatorError("'\(value)' is no port") }
        options.port = port
      case "--rate": options.settings.rate = try bytes(value)
      case "--rate-per-connection": options.settings.ratePerConnection = try bytes(value)
      case "--file": files.append(try file(value, isVideo: false))
      case "--video": files.append(try file(value, isVideo: true))
      case "--client-id": options.clientID = value
      case "--client-secret": options.clientSecret = value
      default: throw SimulatorError("unknown option \(flag)")
      }
    }
    for file in files { try options.catalog.add(file, createdAt: 1_750_000_000_000) }
    return options
  }

  private static func bytes(_ text: String) throws(SimulatorError) -> Int64 {
    guard let count = ByteCount.parse(text) else { throw SimulatorError("'\(text)' is no count of bytes") }
    return count
  }

  private static func file(_ text: String, isVideo: Bool) throws(SimulatorError) -> CatalogFile {
    let parts = text.split(separator: ":", maxSplits: 2).map(String.init)
    guard parts.count == 3 else { throw SimulatorError("'\(text)' is not ID:SIZE:NAME") }
    let kind: CatalogFile.Kind = !isVideo ? .plain : parts[2].lowercased().hasSuffix(".mov") ? .videoMoovLast : .video
    return CatalogFile(id: parts[0], name: parts[2], size: try bytes(parts[1]), kind: kind)
  }

  /// The exit status.
  package static func run(_ arguments: [String]) -> Int32 {
    let simulator: Simulator
    var stopping = sigset_t()
    do {
      guard let options = try parse(arguments) else {
        print(usage, terminator: "")
        return 0
      }
      // Before the first thread starts, for threads inherit the mask and one of them would get the signal.
      sigemptyset(&stopping)
      sigaddset(&stopping, SIGTERM)
      sigaddset(&stopping, SIGINT)
      pthread_sigmask(SIG_BLOCK, &stopping, nil)
      signal(SIGPIPE, SIG_IGN)
      simulator = try Simulator(options)
    } catch {
      let text = Array("mediahub-sim: \(error)\n".utf8)
      _ = write(STDERR_FILENO, text, text.count)
      return 2
    }
    let ready = Array("ready base=\(simulator.baseURL)\n".utf8)
    _ = write(STDOUT_FILENO, ready, ready.count)
    var received: Int32 = 0
    sigwait(&stopping, &received)
    simulator.stop()
    return 0
  }
}
