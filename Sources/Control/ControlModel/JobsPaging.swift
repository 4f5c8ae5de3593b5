/// Which pages of jobs may be asked for. These are constants.
package enum JobsPaging {
  package static let starts = 0...1_000_000_000
  /// MediaHub gives no more.
  package static let limits = 1...5000
  package static let defaultLimit = 20
}
