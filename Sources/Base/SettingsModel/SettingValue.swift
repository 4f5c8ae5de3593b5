/// A setting's value after its rule agreed. It is a plain value.
package enum SettingValue: Equatable, Sendable {
  case text(String)
  case count(Int)
  case bytes(Int64)
  case duration(Duration)
  case flag(Bool)
}
