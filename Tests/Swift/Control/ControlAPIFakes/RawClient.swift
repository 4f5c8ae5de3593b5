import CHTTPD
import CLinux
import EventLoop
import Glibc
import Support

@testable import ControlAPI

/// A server with fake operations in a folder of its own, for the length of a test.
struct Harness {
  let operations = FakeOperations()
  let folder: String
  let server: ControlServer
  var socket: String { server.socket }

  init(limits: Listener.Limits) async throws {
    EventLoop.start()
    folder = try TestFolder.make("api")
    server = try await ControlServer(
      socket: folder + "/api.sock", web: WebOptions(opening: .never, runtimeFolder: folder), operations: operations,
      limits: limits)
  }

  init(idleSeconds: UInt32 = 20) async throws { try await self.init(limits: Listener.Limits(idleSeconds: idleSeconds)) }

  /// Runs `body` with one, and closes it whatever comes of that.
  static func run(idleSeconds: UInt32 = 20, _ body: (Harness) async throws -> Void) async throws {
    try await run(limits: Listener.Limits(idleSeconds: idleSeconds), body)
  }

  static func run(limits: Listener.Limits, _ body: (Harness) async throws -> Void) async throws {
    let harness = try await Harness(limits: limits)
    do { try await body(harness) } catch {
      await harness.close()
      throw error
    }
    await harness.close()
  }

  func close() async {
    await operations.release()
    await server.close()
    unlink(socket)
    rmdir(folder)
  }
}

extension WebOptions {
  static let closed = WebOptions(opening: .never, runtimeFolder: "/nonexistent")
}

/// Bytes to a socket and back, without an HTTP library that would refuse to send what a test wants sent.
final class RawClient {
  struct Reply: Equatable {
    var status: Int
    var head: String
    var body: String
  }

  private let descriptor: Int32

  convenience init?(_ socket: String) { self.init(descriptor: clinux_connect(socket)) }

  /// To 127.0.0.1.
  convenience init?(port: Int) {
    let descriptor = socket(AF_INET, CHTTPD_STREAM, 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let connected = withUnsafeBytes(of: &address) { bytes in
      bytes.withMemoryRebound(to: sockaddr.self) { connect(descriptor, $0.baseAddress, socklen_t(bytes.count)) }
    }
    if connected != 0 { close(descriptor) }
    self.init(descriptor: connected == 0 ? descriptor : -1)
  }

  private init?(descriptor: Int32) {
    self.descriptor = descriptor
    guard descriptor >= 0 else { return nil }
    // A server that never answers fails the test instead of standing it still.
    var limit = timeval(tv_sec: 60, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(descriptor) }

  @discardableResult func send(_ text: String) -> Bool { send(Array(text.utf8)) }

  @discardableResult func send(_ bytes: [UInt8]) -> Bool {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress.map { $0 + done }, bytes.count - done, Int32(MSG_NOSIGNAL))
      }
      if count <= 0 { return false }
      done += count
    }
    return true
  }

  func request(_ method: String, _ target: String, body: String? = nil) {
    let length = body.map { "Content-Length: \($0.utf8.count)\r\n" } ?? ""
    send("\(method) \(target) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\(length)\r\n\(body ?? "")")
  }

  /// Everything up to the end of the connection; nil where nothing came.
  func reply() -> Reply? {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count <= 0 { break }
      bytes.append(contentsOf: buffer[..<count])
    }
    let text = String(decoding: bytes, as: UTF8.self)
    let marks = Array("\r\n\r\n".utf8)
    guard let end = bytes.indices.first(where: { bytes[$0...].starts(with: marks) }) else { return nil }
    let head = String(decoding: bytes[..<end], as: UTF8.self)
    guard text.hasPrefix("HTTP/1.1 "), let status = Int(text.dropFirst(9).prefix(3)) else { return nil }
    var body = bytes[(end + 4)...]
    if head.contains("Transfer-Encoding: chunked") { body = Self.unchunked(body)[...] }
    return Reply(status: status, head: head, body: String(decoding: body, as: UTF8.self))
  }

  /// RFC 9112, 7.1; what is cut off ends with its last whole chunk.
  private static func unchunked(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    var rest = bytes
    var body: [UInt8] = []
    while let end = rest.firstIndex(of: UInt8(ascii: "\r")),
      let size = Int(String(decoding: rest[..<end], as: UTF8.self), radix: 16),
      size > 0
    {
      rest = rest[(end + 2)...]
      guard rest.count >= size + 2 else { break }
      body += rest.prefix(size)
      rest = rest.dropFirst(size + 2)
    }
    return body
  }

  /// Reads on until the server ends the connection; false if nothing happens for a minute.
  func isEndedByServer() -> Bool {
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count == 0 || (count < 0 && errno == ECONNRESET) { return true }
      if count < 0 { return false }
    }
  }

  /// The next piece, as text; nil at the end.
  func piece() -> String? {
    var buffer = [UInt8](repeating: 0, count: 65536)
    let count = recv(descriptor, &buffer, buffer.count, 0)
    return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
  }

  static func ask(_ socket: String, _ method: String, _ target: String, body: String? = nil) -> Reply? {
    guard let client = RawClient(socket) else { return nil }
    client.request(method, target, body: body)
    return client.reply()
  }
}
