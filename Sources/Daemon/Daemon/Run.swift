import Buckets
import CLinux
import ControlAPI
import ControlClient
import Core
import EventLoop
import Glibc
import MediaHub
import MediaHubSim
import Settings
import Store
import Syntax
import Telemetry
import Transfer

/// `fsmvp run`: the control plane, from its settings to its last breath. It makes everything on the main thread, before
/// the loops start; from then on the state is `ControlPlane`'s.
package enum Run {
  /// Runs until it is stopped; returns the exit code.
  package static func main(_ arguments: RunArguments) -> Int32 {
    let secrets = StartSecrets.take()
    clinux_few_arenas()
    signal(SIGPIPE, SIG_IGN)
    // A terminal with `tostop` would stop the process at a line of the log.
    signal(SIGTTOU, SIG_IGN)
    // While the program still has its name.
    _ = Installation.path
    let handover = Handover.take()
    do throws(StartError) {
      try StartLimits.secure()
      EventLoop.startDefaultPool()
      let service = try Service(arguments, secrets)
      let folders = try Folders(
        runtime: service.settings.runtimeFolder, state: service.settings.stateFolder,
        cache: service.settings.bytesFolder,
        service: service.simulator == nil ? service.apiBase : "demo",
        keepsBytes: service.settings[\StoreSettings.fetchMode] == .tempFile, handover: handover)
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
    Log.say("fsmvp: \(PrintableText.of(error.sentence))\n")
    Log.flush()
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
  /// The system's, and those of `ca_file`; nil with the demo, which has no TLS.
  let certificates: CertificateBundle?
  /// The arguments that the settings were made from, unresolved; a reload reads the configuration with them again.
  let arguments: RunArguments
  /// The secrets that were taken out of the environment; the next image gets them, too.
  let secrets: StartSecrets
  /// The proxy for all requests that leave this machine; nil: they go directly.
  let proxy: Redacted<String>?
  let bucketOptions: BucketServer.Options

  static func load(_ arguments: RunArguments, _ secrets: StartSecrets) throws(SettingsError) -> Settings {
    var flags: [String: String] = [:]
    if let mountpoint = arguments.mountpoint { flags["mountpoint"] = mountpoint }
    var inputs = SettingsInputs.process(flags: flags, configFlag: arguments.config)
    inputs.environment = secrets.merged(into: inputs.environment)
    return try Settings.load(SettingsCatalog.groups, inputs)
  }

  init(_ arguments: RunArguments, _ secrets: StartSecrets) throws(StartError) {
    let settings: Settings
    do throws(SettingsError) {
      settings = try Self.load(arguments, secrets)
    } catch {
      throw StartError(error.sentence, code: .usage)
    }
    self.settings = settings
    self.arguments = arguments
    self.secrets = secrets
    proxy = settings[\TransferSettings.proxy] ?? secrets.proxy(SettingsInputs.process().environment)
    bucketOptions = try Self.bucketOptions(settings)
    Log.level = Log.Level.allCases.first { $0.name == settings[\DaemonSettings.logLevel].rawValue } ?? .info
    let isDemo = arguments.isDemo(withCredentials: settings.hasCredentials)
    let certificates = try Self.certificates(settings)
    self.certificates = isDemo ? nil : certificates
    for warning in settings.warnings { Log.warning(.settings, ["cause": warning]) }
    guard isDemo else {
      guard settings.hasCredentials || settings[\WebSettings.web] == true else {
        throw StartError(
          "there are no credentials for MediaHub: set client_id and client_secret in the configuration file "
            + "(FSMVP_CLIENT_ID, "
            + "FSMVP_CLIENT_SECRET), try `fsmvp run --demo`, or set `web = true` (FSMVP_WEB=true) for a page that "
            + "shows how"
        )
      }
      (simulator, apiBase) = (nil, settings[\MediaHubSettings.base])
      (clientID, clientSecret) = (settings[\MediaHubSettings.clientID], settings[\MediaHubSettings.clientSecret])
      linkSigner = settings.hasCredentials ? try Self.linkSigner(settings, clientSecret: clientSecret) : nil
      if !settings.hasCredentials { Log.warning(.serviceNoCredentials, ["file": settings.configFileToWrite]) }
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
    guard settings[\MediaHubSettings.linkAuth] == .hmac else { return nil }
    guard let signer = LinkSigner(clientID: settings[\MediaHubSettings.clientID], clientSecret: clientSecret) else {
      throw StartError(
        "`link_auth` = \"hmac\" signs with `client_secret`, which has to be base64 for that and is not (from "
          + "\(settings.source(of: \MediaHubSettings.linkAuth)))", code: .usage)
    }
    return signer
  }

  static func bucketOptions(_ settings: Settings) throws(StartError) -> BucketServer.Options {
    do throws(BucketSettingsError) {
      return try BucketServer.Options(settings.values)
    } catch {
      let source = settings.source(of: \BucketSettings.listen)
      throw StartError("\(error.sentence) (from \(source))", code: .usage)
    }
  }

  static func certificates(_ settings: Settings) throws(StartError) -> CertificateBundle? {
    guard let path = settings[\TransferSettings.caFile] else { return CertificateBundle.system }
    do throws(CertificateBundle.Failure) {
      return try CertificateBundle(adding: path)
    } catch {
      throw StartError(error.sentence, code: .usage)
    }
  }
}

extension Settings {
  /// Without both there is the demo, or the page.
  var hasCredentials: Bool {
    !self[\MediaHubSettings.clientID].isEmpty && !self[\MediaHubSettings.clientSecret].reveal().isEmpty
  }
}
