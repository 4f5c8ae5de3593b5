import Core
import Glibc

/// The program `mediahub-sim`: a simulator in a process of its own, for tests that are not Swift. It parses the command
/// line and owns the one `Simulator` until the process is told to end, on the main thread.
package enum MediaHubSimProgram {
  /// The options given by the arguments; nil for the help.
  package static func parse(_ arguments: [String]) throws(SimulatorError) -> Simulator.Options? {
    var options = Simulator.Options()
    options.rangeLog = 100_000
    var files: [CatalogFile] = []
    var pems = PEMFiles()
    var rest = arguments[...]
    while let flag = rest.popFirst() {
      let behaviour = BehaviourFlag.all.first { $0.name == flag }
      switch flag {
      case "--help", "-h": return nil
      case "--demo":
        options.catalog = .demo
        continue
      case "--separate-storage":
        options.storagePort = options.storagePort ?? 0
        continue
      default: break
      }
      if let behaviour, !behaviour.takesValue {
        try behaviour.apply("", to: &options.settings)
        continue
      }
      guard flag.hasPrefix("--") else { throw SimulatorError("unexpected argument '\(flag)'") }
      guard let value = rest.popFirst() else { throw SimulatorError("\(flag) needs a value") }
      switch flag {
      case "--port": options.port = try port(value)
      case "--storage-port": options.storagePort = try port(value)
      case "--tls-cert": pems.certificate = value
      case "--tls-key": pems.key = value
      case "--storage-tls-cert": pems.storageCertificate = value
      case "--storage-tls-key": pems.storageKey = value
      case "--file": files.append(try file(value, isVideo: false))
      case "--video": files.append(try file(value, isVideo: true))
      case "--client-id": options.clientID = value
      case "--client-secret": options.clientSecret = value
      case "--fault": options.faults.append(try Fault(flag: value))
      case "--seed":
        guard let seed = UInt64(value) else { throw SimulatorError("--seed: '\(value)' is no number") }
        options.seed = seed
      default:
        guard let behaviour else { throw SimulatorError("unknown option \(flag)") }
        try behaviour.apply(value, to: &options.settings)
      }
    }
    options.tls = try pems.pair(pems.certificate, pems.key, "tls")
    options.storageTLS = try pems.pair(pems.storageCertificate, pems.storageKey, "storage-tls")
    if options.storageTLS != nil { options.storagePort = options.storagePort ?? 0 }
    for file in files { try options.catalog.add(file, createdAt: 1_750_000_000_000) }
    return options
  }

  /// The files named by the TLS flags; read when all of them are known.
  private struct PEMFiles {
    var certificate, key, storageCertificate, storageKey: String?

    func pair(_ certificate: String?, _ key: String?, _ prefix: String) throws(SimulatorError) -> Certificate? {
      switch (certificate, key) {
      case (nil, nil): return nil
      case (.some(let certificate), .some(let key)): return try Certificate(file: certificate, keyFile: key)
      default: throw SimulatorError("--\(prefix)-cert and --\(prefix)-key go together")
      }
    }
  }

  private static func port(_ text: String) throws(SimulatorError) -> UInt16 {
    guard let port = UInt16(text) else { throw SimulatorError("'\(text)' is no port") }
    return port
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
