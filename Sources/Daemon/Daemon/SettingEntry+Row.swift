import ControlModel
import Settings

extension SettingEntry {
  init(_ row: Settings.Row) { self.init(key: row.key, value: row.value, source: row.source.description) }
}
