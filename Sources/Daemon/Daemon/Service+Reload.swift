import ControlAPI
import MediaHub
import Settings

/// The check of a reload: it reads the configuration from the disk, on a worker thread, and changes nothing.
extension Service {
  /// Why a next image could not take over with the configuration as it is now; nil: it could. The settings that name
  /// the mount, its files and its service stay as long as the mount does.
  func faultForNextImage() -> String? {
    let next: Settings
    do throws(SettingsError) {
      next = try Self.load(arguments, secrets)
    } catch {
      return "the configuration is wrong: \(error.sentence)"
    }
    let hasCredentials = next.hasCredentials
    let isDemo = arguments.isDemo(withCredentials: hasCredentials)
    let names: [(String, KeyPath<Settings, String>)] = [
      ("mountpoint", \.mountpoint), ("runtime_dir", \.runtimeFolder), ("state_dir", \.stateFolder),
      ("cache_dir or temp_dir", \.bytesFolder),
    ]
    var changed = names.first { settings[keyPath: $0.1] != next[keyPath: $0.1] }?.0
    let isOther = settings[\MediaHubSettings.base] != next[\MediaHubSettings.base]
    if changed == nil, isDemo != (simulator != nil) || (!isDemo && isOther) { changed = "the service" }
    if let changed {
      return
        "\(changed) is another one in the configuration than at the start, which takes `fsmvp stop` and a new start"
    }
    do throws(StartError) {
      _ = try Self.certificates(next)
      _ = try Self.bucketOptions(next)
      if !isDemo, hasCredentials { _ = try Self.linkSigner(next, clientSecret: next[\MediaHubSettings.clientSecret]) }
    } catch {
      return "the configuration is wrong: \(error.sentence)"
    }
    // A control plane that has no credentials yet may go on without them if the page can take them.
    let canWait = !self.hasCredentials && next[\WebSettings.web] == true
    guard isDemo || hasCredentials || canWait else { return "there are no credentials in the configuration any more" }
    return nil
  }
}
