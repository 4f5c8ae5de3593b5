/// What `fsmvp run` was called with.
struct RunArguments: Equatable {
  /// `--config`, as given.
  var config: String?
  /// `--mountpoint`, as given.
  var mountpoint: String?
  var isDemo = false
}

enum Run {
  /// Runs the control plane until it is stopped; returns the exit code.
  static func main(_ arguments: RunArguments) -> Int32 {
    Terminal.standardError.write("fsmvp: this build has no control plane\n")
    return ExitCode.failed.rawValue
  }
}
