import CLinux
import Glibc

/// Why a program's output was not to be had.
package enum ProgramFailure: Error, Equatable, Sendable, CustomStringConvertible {
  case notStarted(LoopError)
  case ended(LoopProcess.End)
  /// It was killed.
  case tookTooLong

  /// The machine lacks descriptors, memory or tasks for it now.
  package var isShortage: Bool {
    guard case .notStarted(let cause) = self else { return false }
    return [EAGAIN, ENOMEM, EMFILE, ENFILE].contains(-cause.code)
  }

  package var description: String {
    switch self {
    case .notStarted(let cause): cause.description
    case .ended(let end): "\(end)"
    case .tookTooLong: "it does not end"
    }
  }
}

/// The output of a program that is run to its end: its pipe and its process belong to the one call, on the loop.
extension EventLoop {
  /// Runs a program and returns its standard output, as far as a pipe holds it, if it ends with code 0. Call on the
  /// loop's thread.
  package func output(
    of path: String, _ arguments: [String], within limit: Duration, isolation: isolated (any Actor)? = #isolation
  ) async -> Result<String, ProgramFailure> {
    var ends: [Int32] = [0, 0]
    guard clinux_pipe(&ends) == 0 else { return .failure(.notStarted(LoopError(code: -errno))) }
    let (source, sink) = (ends[0], ends[1])
    defer { close(source) }
    var process: LoopProcess?
    var timer: LoopTimer?
    let end: Result<LoopProcess.End, ProgramFailure> = await withCheckedContinuation { continuation in
      var waiting: CheckedContinuation<Result<LoopProcess.End, ProgramFailure>, Never>? = continuation
      var isLate = false
      do throws(LoopError) {
        // Once it was reaped in any case: a killed one leaves no zombie.
        process = try LoopProcess(path, arguments: arguments, output: sink, on: self) { end in
          waiting?.resume(returning: isLate ? .failure(.tookTooLong) : .success(end))
          waiting = nil
        }
        timer = try LoopTimer(on: self) {
          isLate = true
          process?.kill(SIGKILL)
        }
        timer?.start(after: limit)
      } catch {
        process?.kill(SIGKILL)
        waiting?.resume(returning: .failure(.notStarted(error)))
        waiting = nil
      }
      close(sink)
    }
    timer?.close()
    process?.close()
    switch end {
    case .failure(let failure): return .failure(failure)
    case .success(.exited(0)): break
    case .success(let end): return .failure(.ended(end))
    }
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = read(source, &bytes, bytes.count)
    return .success(String(decoding: bytes.prefix(max(0, count)), as: UTF8.self))
  }
}
