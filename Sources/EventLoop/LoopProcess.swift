import CLinux
import CUV
import Glibc

/// A child process in a session of its own (Ctrl-C and a closing terminal do not reach it), reaped by libuv.
/// It goes on living when this object or this process ends.
package final class LoopProcess: LoopHandle<uv_process_t> {
  package enum End: Sendable, Equatable, CustomStringConvertible {
    case exited(Int32)
    case signalled(Int32)
    /// Of a process that is not our child: only its parent is told.
    case unknown
    package var description: String {
      switch self {
      case .exited(let code): "exit code \(code)"
      case .signalled(let number): "signal \(number)"
      case .unknown: "an end that only its parent was told of"
      }
    }
  }

  /// The service manager's: sd_notify needs them in our own environment, and a child that has them could speak for us.
  private static let withheld = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]

  private let ended: (End) -> Void

  /// - Parameters:
  ///   - descriptors: given to the child as 3, 4, 5 ... in this order; all else is close-on-exec. Standard input is
  ///     /dev/null, standard error is ours.
  ///   - output: standard output; nil: /dev/null.
  ///   - ended: called on the loop once the child was reaped.
  package init(
    _ path: String, arguments: [String], descriptors: [Int32] = [], output: Int32? = nil, on loop: EventLoop, ended: @escaping (End) -> Void
  ) throws(LoopError) {
    self.ended = ended
    var argv: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
    defer { for text in argv { free(text) } }
    var variables = Self.environment()
    let inherited: [Int32?] = [nil, output, 2] + descriptors
    var stdio = inherited.map { descriptor in
      var container = uv_stdio_container_t()
      if let descriptor {
        container.flags = UV_INHERIT_FD
        container.data.fd = descriptor
      } else {
        container.flags = UV_IGNORE
      }
      return container
    }
    try super.init(on: loop) { process in
      argv.withUnsafeMutableBufferPointer { argv in
        stdio.withUnsafeMutableBufferPointer { stdio in
          variables.withUnsafeMutableBufferPointer { variables in
            path.withCString { file in
              var options = uv_process_options_t()
              options.file = file
              options.args = argv.baseAddress
              options.env = variables.baseAddress
              options.flags = UInt32(UV_PROCESS_DETACHED.rawValue)
              options.stdio_count = Int32(stdio.count)
              options.stdio = stdio.baseAddress
              options.exit_cb = { @Sendable process, status, signal in
                owner(process?.pointee.data, as: LoopProcess.self)?
                  .finish(signal != 0 ? .signalled(signal) : .exited(Int32(truncatingIfNeeded: status)))
              }
              return uv_spawn(loop.loop, process, &options)
            }
          }
        }
      }
    }
  }

  /// Ours less what is withheld, as pointers to our own strings.
  private static func environment() -> [UnsafeMutablePointer<CChar>?] {
    var variables: [UnsafeMutablePointer<CChar>?] = []
    var variable = clinux_environment()
    while let text = variable?.pointee {
      let isWithheld = withheld.contains { strncmp(text, $0 + "=", $0.utf8.count + 1) == 0 }
      if !isWithheld { variables.append(text) }
      variable = variable?.advanced(by: 1)
    }
    return variables + [nil]
  }

  package private(set) var isRunning = true
  package var pid: Int32 { raw.pointee.pid }

  private func finish(_ end: End) {
    isRunning = false
    ended(end)
  }

  /// Sends a signal while it runs; never to a recycled pid, as the child is not reaped before `ended`.
  package func kill(_ signal: Int32) { if isRunning { uv_process_kill(raw, signal) } }
}
