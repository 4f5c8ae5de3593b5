import CLinux
import Core
import EventLoop
import Glibc
import MediaHub
import MediaHubSim
import Settings
import Telemetry
import Transfer

/// What `fsmvp run` was called with.
struct RunArguments: Equatable {
  /// `--config`, as given.
  var config: String?
  /// `--mountpoint`, as given.
  var mountpoint: String?
  /// `--demo`: an embedded MediaHub, whatever the credentials.
  var isDemo = false
  /// `--demo-without-credentials`: the same where there are none, as `make run` wants it.
  var isDemoWithoutCredentials = false

  func isDemo(withCredentials hasCredentials: Bool) -> Bool { isDemo || (isDemoWithoutCredentials && !hasCredentials) }
}

/// `fsmvp run`: the control plane, from its settings to its last breath.
enum Run {
  /// Runs until it is stopped; returns the exit code.
  static func main(_ arguments: RunArguments) -> Int32 {
    clinux_few_arenas()
    signal(SIGPIPE, SIG_IGN)
    // While the program still has its name.
    _ = Image.path
    let handover = Handover.take()
    do throws(StartError) {
      let service = try Service(arguments)
      let folders = try Folders(
        runtime: service.settings.runtimeFolder, state: service.settings.stateFolder, cache: service.settings.bytesFolder,
        service: service.simulator == nil ? service.apiBase : "demo",
        keepsBytes: service.settings.fetchMode == .tempFile, handover: handover)
      EventLoop.start()
      Task { @DispatchLoop in
        do throws(StartError) {
          try await ControlPlane(service: service, folders: folders, reloads: handover?.reloads ?? 0).run()
        } catch {
          end(error)
        }
      }
      // Everything happens on the loops from here on; they end the process.
      while true { pause() }
    } catch {
      end(error)
    }
  }

  /// Ends the process with the sentence.
  static func end(_ error: StartError) -> Never {
    Log.flush()
    Terminal.standardError.write("fsmvp: \(DisplayText.printable(error.sentence))\n")
    _exit(error.code.rawValue)
  }
}

/// Which MediaHub to talk to, and the settings that say so.
struct Service {
  let settings: Settings
  let simulator: Simulator?
  let apiBase: String
  let clientID: String
  let clientSecret: Redacted<String>
  /// With `link_auth` = "hmac"; the demo's links are asked for with a token.
  let linkSigner: LinkSigner?
  /// With `ca_file`.
  let certificates: CertificateBundle?
  /// What the settings were made from, as it came; a reload looks at them again.
  let arguments: RunArguments
  /// The variable as it came, for the next image.
  let secretInEnvironment: Redacted<String>?

  static let secretVariable = "FSMVP_CLIENT_SECRET"

  static func load(_ arguments: RunArguments) throws(SettingsError) -> Settings {
    var flags: [String: String] = [:]
    if let mountpoint = arguments.mountpoint { flags["mountpoint"] = mountpoint }
    return try Settings.load(.process(flags: flags, configFlag: arguments.config))
  }

  init(_ arguments: RunArguments) throws(StartError) {
    let settings: Settings
    do throws(SettingsError) {
      settings = try Self.load(arguments)
    } catch {
      throw StartError(error.sentence, code: .usage)
    }
    self.settings = settings
    self.arguments = arguments
    // The settings have it, and no child is to inherit it.
    secretInEnvironment = getenv(Self.secretVariable).map { Redacted(String(cString: $0)) }
    unsetenv(Self.secretVariable)
    Log.level = Log.Level.allCases.first { $0.name == settings.logLevel.rawValue } ?? .info
    certificates = try Self.certificates(settings)
    for warning in settings.warnings { Log.warning("settings", ["note": warning]) }
    guard arguments.isDemo(withCredentials: settings.hasCredentials) else {
      guard settings.hasCredentials || settings.web == true else {
        throw StartError(
          "there are no credentials for MediaHub: set client_id and client_secret in the configuration file (FSMVP_CLIENT_ID, "
            + "FSMVP_CLIENT_SECRET), try `fsmvp run --demo`, or set `web = true` (FSMVP_WEB=true) for a page that shows how")
      }
      (simulator, apiBase) = (nil, settings.apiBase)
      (clientID, clientSecret) = (settings.clientID, settings.clientSecret)
      linkSigner = settings.hasCredentials ? try Self.linkSigner(settings, clientSecret: clientSecret) : nil
      if !settings.hasCredentials { Log.warning("service.no_credentials", ["file": settings.configFileToWrite]) }
      return
    }
    var options = Simulator.Options()
    options.catalog = .demo
    do {
      let simulator = try Simulator(options)
      (self.simulator, apiBase) = (simulator, simulator.baseURL)
    } catch {
      throw StartError("the demo's MediaHub cannot be started: \(error)")
    }
    (clientID, clientSecret) = (options.clientID, Redacted(options.clientSecret))
    linkSigner = nil
  }

  /// Without them there is a page that shows how to set them, and nothing else.
  var hasCredentials: Bool { !clientID.isEmpty && !clientSecret.reveal().isEmpty }

  /// - Throws: a sentence, where the secret cannot be the key that `link_auth` needs it to be.
  static func linkSigner(_ settings: Settings, clientSecret: Redacted<String>) throws(StartError) -> LinkSigner? {
    guard settings.linkAuth == .hmac else { return nil }
    guard let signer = LinkSigner(clientID: settings.clientID, clientSecret: clientSecret) else {
      throw StartError(
        "`link_auth` = \"hmac\" signs with `client_secret`, which has to be base64 for that and is not (from "
          + "\(settings.source(of: .linkAuth)))", code: .usage)
    }
    return signer
  }

  static func certificates(_ settings: Settings) throws(StartError) -> CertificateBundle? {
    guard let path = settings.caFile else { return nil }
    do throws(CertificateBundle.Failure) {
      return try CertificateBundle(adding: path)
    } catch {
      throw StartError(error.sentence, code: .usage)
    }
  }
}
