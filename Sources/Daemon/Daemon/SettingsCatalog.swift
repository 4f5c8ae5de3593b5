import Buckets
import ControlAPI
import MediaHub
import Settings
import SettingsModel
import ShimHost
import Staging
import Store
import Transfer

/// Every setting of the program, in the order of `fsmvp config`: one line a module. It is a constant.
package enum SettingsCatalog {
  package static let groups: [any SettingGroup] = [
    MediaHubSettings(),
    FolderSettings(),
    StagedSettings(),
    StoreSettings(),
    TransferSettings(),
    ShimSettings(),
    WebSettings(),
    BucketSettings(),
    DaemonSettings(),
  ]
}
