/// The arguments of `fsmvp run`, as values. The parser makes them and `Daemon` takes them over at its start; they touch
/// nothing, and no setting has been read yet.
package struct RunArguments: Equatable {
  /// `--config`, as given.
  package var config: String?
  /// `--mountpoint`, as given.
  package var mountpoint: String?
  /// `--demo`: an embedded MediaHub, whatever the credentials.
  package var isDemo = false
  /// `--demo-without-credentials`: the same where there are none, as `make run` wants it.
  package var isDemoWithoutCredentials = false

  package func isDemo(withCredentials hasCredentials: Bool) -> Bool {
    isDemo || (isDemoWithoutCredentials && !hasCredentials)
  }
}
