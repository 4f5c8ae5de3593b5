/// A value as it stands in a file, a variable or a flag, before a rule was asked about it. It is a plain value.
package enum RawValue: Equatable, Sendable {
  case string(String)
  case integer(Int64)
  case float(Double)
  case boolean(Bool)
  /// A table, a list or a date: nothing that a setting can be.
  case other
}
