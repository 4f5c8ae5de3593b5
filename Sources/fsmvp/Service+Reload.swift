import Settings

extension Service {
  /// Why the configuration as it is now does not let a next image take over from this one; nil: it does. What names the mount, its files and
  /// its service stays as long as the mount does.
  func faultForNextImage() -> String? {
    let next: Settings
    do throws(SettingsError) {
      next = try Self.load(arguments)
    } catch {
      return "the configuration is wrong: \(error.sentence)"
    }
    // The next image gets the secret back that was taken out of our environment.
    let hasSecret = secretInEnvironment.map { !$0.reveal().isEmpty } ?? false
    let hasCredentials = next.hasCredentials || (hasSecret && !next.clientID.isEmpty)
    let isDemo = arguments.isDemo(withCredentials: hasCredentials)
    let names: [(String, KeyPath<Settings, String>)] = [
      ("mountpoint", \.mountpoint), ("runtime_dir", \.runtimeFolder), ("state_dir", \.stateFolder),
      ("cache_dir or temp_dir", \.bytesFolder),
    ]
    var changed = names.first { settings[keyPath: $0.1] != next[keyPath: $0.1] }?.0
    if changed == nil, isDemo != (simulator != nil) || (!isDemo && settings.apiBase != next.apiBase) { changed = "the service" }
    if let changed { return "\(changed) is another one in the configuration than at the start, which takes `fsmvp stop` and a new start" }
    let secret = hasSecret ? secretInEnvironment : nil
    do throws(StartError) {
      _ = try Self.certificates(next)
      if !isDemo, hasCredentials { _ = try Self.linkSigner(next, clientSecret: secret ?? next.clientSecret) }
    } catch {
      return "the configuration is wrong: \(error.sentence)"
    }
    // What waits for credentials may go on waiting.
    let canWait = !self.hasCredentials && next.web == true
    guard isDemo || hasCredentials || canWait else { return "there are no credentials in the configuration any more" }
    return nil
  }
}
