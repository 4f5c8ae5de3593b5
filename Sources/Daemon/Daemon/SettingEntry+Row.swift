import ControlModel
import Settings

/// A row of the settings as the API shows it: a copy, without state.
extension SettingEntry {
  init(_ row: Settings.Row) { self.init(key: row.key, value: row.value, source: row.source.description) }
}
