import CLinux
import Core
import Glibc

/// A child process in a session of its own (Ctrl-C and a closing terminal do not reach it), which is reaped here.
/// It goes on living when this object or this process ends. Used on its loop's thread only.
///
/// It is started by posix_spawn, and not by libuv: uv_spawn forks, and a fork copies the page tables of the whole
/// process while the loop stands.
///
/// Its maker owns the object, which owns the child's pidfd.
package final class LoopProcess {
  package enum End: Sendable, Equatable, CustomStringConvertible {
    case exited(Int32)
    case signalled(Int32)
    /// The end of a process that is not our child, or was reaped elsewhere: the kernel tells one waiter how it ended.
    case unknown
    package var description: String {
      switch self {
      case .exited(let code): "exit code \(code)"
      case .signalled(let number): "signal \(number)"
      case .unknown: "an end that only its parent was told of"
      }
    }
  }

  package let pid: Int32
  package private(set) var isRunning = true
  private let loop: EventLoop
  private let location: (file: StaticString, line: UInt)
  private let ended: (End) -> Void
  private var pidfd: OwnedDescriptor?
  private var watch: LoopPoll?
  /// Looks whether it has ended, if there is no pidfd.
  private var timer: LoopTimer?

  /// Its environment is `ChildEnvironment`'s.
  /// - Parameters:
  ///   - descriptors: given to the child as 3, 4, 5 ... in this order; all else is close-on-exec. Standard input is
  ///     /dev/null, standard error is ours.
  ///   - output: standard output; nil: /dev/null.
  ///   - ended: called on the loop once the child was reaped.
  package init(
    _ path: String, arguments: [String], descriptors: [Int32] = [], output: Int32? = nil, on loop: EventLoop,
    file: StaticString = #fileID, line: UInt = #line, ended: @escaping (End) -> Void
  ) throws(LoopError) {
    loop.preconditionOnLoop()
    (self.loop, self.location, self.ended) = (loop, (file, line), ended)
    pid = try Self.spawn(path, arguments, [-1, output ?? -1, 2] + descriptors)
    // The child is not reaped before `look`, so the number is its own until then.
    let descriptor = clinux_pidfd_open(pid)
    if descriptor >= 0 {
      pidfd = OwnedDescriptor(descriptor)
      watch = try? LoopPoll(descriptor, on: loop, file: file, line: line) { [weak self] _ in self?.look() }
      watch?.start(.readable)
    }
    if watch == nil { lookAgain() }
  }

  /// - Parameter descriptors: those of the child from 0 on; -1 is /dev/null.
  /// - Returns: its pid.
  private static func spawn(_ path: String, _ arguments: [String], _ descriptors: [Int32]) throws(LoopError) -> Int32 {
    var argv: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
    defer { for text in argv { free(text) } }
    var variables = ChildEnvironment.pointers()
    let pid = clinux_spawn(path, &argv, &variables, descriptors, Int32(descriptors.count))
    guard pid > 0 else { throw LoopError(code: pid) }
    return pid
  }

  /// Reaps it if it has ended.
  private func look() {
    guard isRunning else { return }
    var code: Int32 = 0
    var signal: Int32 = 0
    let isReaped = clinux_reap(pid, &code, &signal) == 0
    // ECHILD: the kernel has reaped it by itself, because SIGCHLD is ignored, or other code of this process has.
    guard isReaped || (errno != EAGAIN && errno != EINTR) else { return }
    isRunning = false
    close()
    ended(!isReaped ? .unknown : signal != 0 ? .signalled(signal) : .exited(code))
  }

  private func lookAgain() {
    timer = try? LoopTimer(on: loop, file: location.file, line: location.line) { [weak self] in self?.look() }
    timer?.start(after: .milliseconds(100), every: .milliseconds(100))
  }

  /// `ended` is not called any more, and it is not reaped.
  package func close() {
    watch?.close()
    timer?.close()
    (watch, timer, pidfd) = (nil, nil, nil)
  }

  /// Sends a signal while it runs; never to a recycled pid, as the child is not reaped before `ended`.
  package func kill(_ signal: Int32) { if isRunning { Glibc.kill(pid, signal) } }

  deinit {
    guard !loop.isCurrent else { return close() }
    // The descriptor outlives what watches it.
    nonisolated(unsafe) let parts = (watch, timer, pidfd)
    loop.post {
      parts.0?.close()
      parts.1?.close()
      _ = parts.2
    }
  }
}
