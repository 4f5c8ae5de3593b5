/// The settings of one module: a struct whose properties are `Setting`s. A new property is a new setting: file, `fsmvp
/// config`, documents and manual page find it by themselves. A group declares settings and holds no value of one.
package protocol SettingGroup: Sendable {
  init()
  /// The heading of its part of the documents.
  var title: String { get }
}

extension SettingGroup {
  /// The declarations of all properties, in the order of the source.
  package var declarations: [SettingDeclaration] {
    Mirror(reflecting: self).children.compactMap { ($0.value as? any DeclaredSetting)?.declaration }
  }
}

/// A setting of any type.
package protocol DeclaredSetting {
  var declaration: SettingDeclaration { get }
}
