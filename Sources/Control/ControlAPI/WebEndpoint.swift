import CLinux
import ControlModel
import Core
import Glibc

/// A socket on 127.0.0.1 and the token that goes with it, found or made in the runtime folder. Waits for the disk:
/// worker threads only. `ControlServer` takes the descriptor and the token out of the value; the files are all that
/// stays.
struct WebEndpoint: Sendable {
  /// Listening.
  var descriptor: Int32
  var port: Int
  var token: Redacted<String>
  /// Whether the kernel says whose a connection is.
  var tellsOwners: Bool
  /// Deviations from the configuration: sentences for the log.
  var notes: [String] = []

  /// Whether there was one in this folder before.
  static func wasUsed(in folder: String) -> Bool { SmallFile(path: portFile(folder)).read() != nil }

  /// - Parameter port: 0: the last one, where it is free, else any.
  static func make(in folder: String, port: Int) -> Result<WebEndpoint, ControlError> {
    do throws(ControlError) { return .success(try WebEndpoint(folder, port)) } catch { return .failure(error) }
  }

  private init(_ folder: String, _ wanted: Int) throws(ControlError) {
    (token, notes) = try Self.token(in: folder)
    let file = SmallFile(path: Self.portFile(folder))
    let last = file.read().flatMap { Int($0) }.flatMap { (1...65_535).contains($0) ? $0 : nil }
    if wanted != 0 {
      (descriptor, port) = try Self.listen(wanted).mapError {
        ControlError(
          .failed,
          "port \(wanted) of 127.0.0.1 cannot be had: \($0); set web_port (FSMVP_WEB_PORT) to another one, or to 0")
      }.get()
    } else if let last, case .success(let found) = Self.listen(last) {
      (descriptor, port) = found
    } else {
      (descriptor, port) = try Self.listen(0).mapError {
        ControlError(.failed, "no port of 127.0.0.1 can be had: \($0)")
      }.get()
      if let last {
        notes.append(
          "port \(last), the last one, is taken; it is \(port) now, and browsers have to sign in again (`fsmvp ui`)")
      }
    }
    tellsOwners = clinux_tells_owners(descriptor) != 0
    if !tellsOwners {
      notes.append(
        "this kernel does not tell whose a connection is (no inet_diag): token and session alone keep other users out")
    }
    guard port != last else { return }
    if let error = file.write("\(port)") {
      notes.append("\(file.path) cannot be written, so the next start may have another port: \(error)")
    }
  }

  /// Writes the files that are not there.
  static func restore(in folder: String, port: Int, token: Redacted<String>) -> Errno? {
    var failure: Errno?
    for (path, line) in [(portFile(folder), "\(port)"), (tokenFile(folder), token.reveal())]
    where access(path, F_OK) != 0 {
      failure = SmallFile(path: path).write(line) ?? failure
    }
    return failure
  }

  private static func tokenFile(_ folder: String) -> String { folder + "/api.token" }
  private static func portFile(_ folder: String) -> String { folder + "/web.port" }

  private static func listen(_ port: Int) -> Result<(Int32, Int), Errno> {
    var bound: UInt16 = 0
    let descriptor = clinux_listen_loopback(UInt16(clamping: port), &bound)
    return descriptor >= 0 ? .success((descriptor, Int(bound))) : .failure(.current)
  }

  // MARK: The token

  /// 256 bits, made once and kept: what others could read, or what is none, is replaced.
  private static func token(in folder: String) throws(ControlError) -> (Redacted<String>, notes: [String]) {
    let file = SmallFile(path: tokenFile(folder))
    let kept = file.read(isPrivate: true)
    if let kept, kept.utf8.count == 64,
      kept.utf8.allSatisfy({ ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x61 && $0 <= 0x66) })
    {
      return (Redacted(kept), [])
    }
    let notes =
      access(file.path, F_OK) == 0 ? ["\(file.path) was no token that only its owner can read; there is a new one"] : []
    let token = Secret.hex(bytes: 32)
    if let error = file.write(token) {
      throw ControlError(.failed, "the token cannot be written to \(file.path): \(error)")
    }
    return (Redacted(token), notes)
  }
}
