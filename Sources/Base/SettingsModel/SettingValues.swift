/// The values of all settings, after file, environment and flags were read. A module takes its own with the properties
/// of its `SettingGroup`: `settings[\StagedSettings.maxTiles]`. It is a copy, which `Settings` makes.
package struct SettingValues: Sendable {
  /// By path; a key that is not there has its default.
  private var values: [String: SettingValue]

  package init(_ values: [String: SettingValue] = [:]) { self.values = values }

  package subscript<Group: SettingGroup, Value: Sendable>(key: KeyPath<Group, Setting<Value>>) -> Value {
    let setting = Group()[keyPath: key]
    return setting.value(values[setting.declaration.path])
  }
}
