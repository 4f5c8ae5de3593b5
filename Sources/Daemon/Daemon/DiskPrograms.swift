import ControlClient
import ControlModel
import Core
import EventLoop
import Glibc
import Wire

/// The programs on disk, asked whether they can take over from the running ones. It has no state: a reload runs them as
/// child processes, on the dispatch loop, which does not stand still meanwhile.
enum DiskPrograms {
  /// A program that only prints a number takes milliseconds.
  private static let patience: Duration = .seconds(5)

  /// - Throws: a sentence with what to do; nothing was changed.
  @DispatchLoop
  static func check(program: String = Installation.path, shim: String = Installation.shimPath)
    async throws(ControlError)
  {
    for (path, arguments) in [(program, ["version", "--abi"]), (shim, ["--abi"])] {
      let output: String
      switch await EventLoop.dispatch.output(of: path, arguments, within: patience) {
      case .success(let text): output = text
      case .failure(let cause):
        let remedy =
          cause.isShortage
          ? "raise the limits of tasks (ulimit -u, TasksMax), memory and open files, or end other programs, and repeat"
          : "install both programs again and repeat"
        throw refusal("\(path) does not run (\(cause.description)); \(remedy)")
      }
      guard let number = UInt32(output.filter { !$0.isNewline }) else {
        throw refusal("\(path) does not say which protocol it speaks; install both programs again and repeat")
      }
      guard number == WireProtocol.abi else {
        throw refusal(
          "\(path) speaks protocol \(number), the running programs \(WireProtocol.abi): let the uploads finish, end "
            + "this one with "
            + "`fsmvp stop` and start the new one")
      }
    }
  }

  private static func refusal(_ sentence: String) -> ControlError {
    ControlError(.failed, "nothing was replaced and uploads go on, but " + sentence)
  }
}
