/// A setting with the type that its module reads it as. Modules declare theirs as properties of a `SettingGroup`. It is
/// a value that does not change.
package struct Setting<Value: Sendable>: DeclaredSetting, Sendable {
  package let declaration: SettingDeclaration
  /// Used if no value was read, which is so for a path whose default depends on the user.
  private let fallback: Value
  /// nil for a value that the rule does not make.
  private let convert: @Sendable (SettingValue) -> Value?

  init(
    _ path: String, _ rule: SettingRule, _ fallback: Value, shown: SettingDeclaration.Default, unit: String? = nil,
    variable: String? = nil,
    isMacOnly: Bool = false, _ help: String, _ convert: @escaping @Sendable (SettingValue) -> Value?
  ) {
    declaration = SettingDeclaration(
      path: path, rule: rule, fallback: shown, unit: unit, variable: variable, help: help, isMacOnly: isMacOnly)
    self.fallback = fallback
    self.convert = convert
  }

  /// - Parameter value: what was read; nil for nothing.
  package func value(_ value: SettingValue?) -> Value { value.flatMap(convert) ?? fallback }
}
