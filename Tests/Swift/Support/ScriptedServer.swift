import Core
import Glibc
import Synchronization

/// An HTTP/1.1 server on loopback that answers with exactly what a test scripts, right or wrong, byte by byte: cuts,
/// stalls and resets included. It records what it was asked. Each connection has a thread of its own; the server ends
/// with the object.
package final class ScriptedServer: Sendable {
  package struct Request: Sendable {
    package var method: String
    /// Path and query as they came.
    package var target: String
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]
    /// Which connection it came on, counted from 0.
    package var connection: Int

    /// The header's value; the name in any case.
    package func header(_ name: String) -> String? {
      headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    /// The range asked for by `bytes=a-b`.
    package var range: ByteRange? {
      guard let text = header("Range"), text.hasPrefix("bytes=") else { return nil }
      let ends = text.dropFirst(6).split(separator: "-").compactMap { Int64($0) }
      return ends.count == 2 && ends[0] <= ends[1] ? ByteRange(ends[0], ends[1] + 1) : nil
    }
  }

  /// A part of an answer. After the last step the connection waits for its next request.
  package enum Step: Sendable {
    case text(String)
    case bytes([UInt8])
    /// Bytes of the made-up file; see `byte(at:)`.
    case content(ByteRange)
    /// The bytes of a range, as one chunk of a chunked body.
    case chunk(ByteRange)
    /// Goes on when the test opens the gate.
    case wait(Gate)
    /// Says nothing more until the client closes.
    case stall
    /// Ends the connection properly.
    case close
    /// Ends the connection with a reset.
    case reset
  }

  package typealias Script = @Sendable (Request) -> [Step]

  private let listening: Listening
  package let port: UInt16
  package var requests: [Request] { listening.state.withLock { $0.requests } }
  package var connections: Int { listening.state.withLock { $0.connections } }

  /// - Parameter script: called on a connection's thread for each request.
  package init(_ script: @escaping Script) {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        bind(listener, pointer, length) | listen(listener, 256) | getsockname(listener, pointer, &length)
      }
    }
    precondition(status == 0, "no port on loopback: \(Errno.current)")
    port = UInt16(bigEndian: address.sin_port)
    listening = Listening(listener: listener, script: script)
    let listening = listening
    startThread { listening.acceptForEver() }
  }

  deinit { listening.stop() }

  package func url(_ path: String = "/file") -> String { "http://127.0.0.1:\(port)\(path)" }

  // MARK: The made-up file

  /// Every offset's byte, the same in all tests; no period that a block size shares.
  package static func byte(at offset: Int64) -> UInt8 {
    UInt8(truncatingIfNeeded: (UInt64(bitPattern: offset) &* 0x9e37_79b9_7f4a_7c15) >> 40)
  }

  package static func content(_ range: ByteRange) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: Int(range.count)) { buffer, count in
      for index in 0..<Int(range.count) { buffer[index] = byte(at: range.start + Int64(index)) }
      count = Int(range.count)
    }
  }

  /// The head of a right answer to a range, without its end, so that more lines can follow.
  package static func partialHead(_ range: ByteRange, size: Int64) -> String {
    "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes \(range.start)-\(range.end - 1)/\(size)\r\nContent-Length: "
      + "\(range.count)\r\n"
      + "Content-Type: video/mp4\r\n"
  }

  /// A right answer: the range asked for, or the whole file.
  /// - Parameter given: the range to answer with; nil: the one that was asked for.
  package static func serve(
    _ request: Request, size: Int64, range given: ByteRange? = nil, headers: String = "ETag: \"v1\"\r\n"
  ) -> [Step] {
    guard let range = given ?? request.range else {
      return [.text("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\(headers)\r\n"), .content(ByteRange(0, size))]
    }
    return [.text(partialHead(range, size: size) + headers + "\r\n"), .content(range)]
  }

  /// A server of the made-up file without any fault.
  package static func file(size: Int64) -> ScriptedServer { ScriptedServer { serve($0, size: size) } }

  /// A head and a small body with its length.
  package static func answer(_ status: Int, headers: String = "", body: String = "") -> [Step] {
    [.text("HTTP/1.1 \(status) Scripted\r\nContent-Length: \(body.utf8.count)\r\n\(headers)\r\n\(body)")]
  }
}

/// A gate at which a script waits; the test opens it, once, for all.
package final class Gate: Sendable {
  // SAFETY: a POSIX semaphore is made for being shared; freed with the last reference.
  private nonisolated(unsafe) let semaphore: UnsafeMutablePointer<sem_t> = .allocate(capacity: 1)
  package init() { sem_init(semaphore, 0, 0) }
  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }
  package func open() { sem_post(semaphore) }
  package func pass() {
    while sem_wait(semaphore) != 0 {}
    sem_post(semaphore)
  }
}

// MARK: Threads and sockets

extension ScriptedServer {
  fileprivate struct State {
    var requests: [Request] = []
    var connections = 0
    var open: Set<Int32> = []
    var isStopped = false
  }

  /// The state that the threads hold; the server object itself may go.
  fileprivate final class Listening: Sendable {
    let state = Mutex(State())
    private let listener: Int32
    private let script: Script

    init(listener: Int32, script: @escaping Script) {
      self.listener = listener
      self.script = script
    }

    func stop() {
      state.withLock { state in
        state.isStopped = true
        for descriptor in state.open { shutdown(descriptor, Int32(SHUT_RDWR)) }
      }
      shutdown(listener, Int32(SHUT_RDWR))
    }

    func acceptForEver() {
      while true {
        let descriptor = accept(listener, nil, nil)
        if descriptor < 0 && (errno == EINTR || errno == ECONNABORTED) { continue }
        guard descriptor >= 0 else { break }
        let number: Int? = state.withLock { state in
          guard !state.isStopped else { return nil }
          state.open.insert(descriptor)
          state.connections += 1
          return state.connections - 1
        }
        guard let number else {
          close(descriptor)
          break
        }
        startThread {
          self.talk(descriptor, number)
          self.state.withLock { _ = $0.open.remove(descriptor) }
          close(descriptor)
        }
      }
      close(listener)
    }

    private func talk(_ descriptor: Int32, _ number: Int) {
      var pending: [UInt8] = []
      while let request = readRequest(descriptor, &pending, number) {
        state.withLock { $0.requests.append(request) }
        for step in script(request) { guard perform(step, descriptor) else { return } }
      }
    }

    private func perform(_ step: Step, _ descriptor: Int32) -> Bool {
      switch step {
      case .text(let text): return sendAll(Array(text.utf8), descriptor)
      case .bytes(let bytes): return sendAll(bytes, descriptor)
      case .content(let range):
        var cursor = range.start
        while cursor < range.end {
          let part = ByteRange(cursor, min(range.end, cursor + 65536))
          guard sendAll(ScriptedServer.content(part), descriptor) else { return false }
          cursor = part.end
        }
        return true
      case .chunk(let range):
        let size = String(range.count, radix: 16)
        return sendAll(Array("\(size)\r\n".utf8) + ScriptedServer.content(range) + Array("\r\n".utf8), descriptor)
      case .wait(let gate):
        gate.pass()
        return true
      case .stall:
        var byte: UInt8 = 0
        while recv(descriptor, &byte, 1, 0) > 0 {}
        return false
      case .close: return false
      case .reset:
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
        return false
      }
    }

    private func sendAll(_ bytes: [UInt8], _ descriptor: Int32) -> Bool {
      var done = 0
      while done < bytes.count {
        let count = bytes.withUnsafeBytes {
          send(descriptor, $0.baseAddress.map { $0 + done }, bytes.count - done, Int32(MSG_NOSIGNAL))
        }
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { return false }
        done += count
      }
      return true
    }

    /// Bytes until `isEnough` is content; false at the end of the connection.
    private func receive(_ descriptor: Int32, _ pending: inout [UInt8], until isEnough: ([UInt8]) -> Bool) -> Bool {
      var buffer = [UInt8](repeating: 0, count: 16384)
      while !isEnough(pending) {
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { return false }
        pending += buffer[..<count]
      }
      return true
    }

    private func readRequest(_ descriptor: Int32, _ pending: inout [UInt8], _ number: Int) -> Request? {
      let end = Array("\r\n\r\n".utf8)
      func headEnd(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= 4 else { return nil }
        return (0...bytes.count - 4).first { bytes[$0] == end[0] && Array(bytes[$0..<$0 + 4]) == end }
      }
      guard receive(descriptor, &pending, until: { headEnd($0) != nil }), let length = headEnd(pending) else {
        return nil
      }
      let lines = String(decoding: pending[..<length], as: UTF8.self).split(separator: "\r\n").map(String.init)
      pending.removeFirst(length + 4)
      let words = (lines.first ?? "").split(separator: " ").map(String.init)
      var request = Request(
        method: words.first ?? "", target: words.count > 1 ? words[1] : "", headers: [], body: [], connection: number)
      for line in lines.dropFirst() {
        guard let colon = line.firstIndex(of: ":") else { continue }
        request.headers.append((String(line[..<colon]), String(line[line.index(after: colon)...].drop { $0 == " " })))
      }
      let bodyLength = Int(request.header("Content-Length") ?? "0") ?? 0
      guard receive(descriptor, &pending, until: { $0.count >= bodyLength }) else { return nil }
      request.body = Array(pending.prefix(bodyLength))
      pending.removeFirst(bodyLength)
      return request
    }
  }
}

/// A detached thread for blocking test doubles.
package func startThread(_ body: @escaping @Sendable () -> Void) {
  final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  var thread = pthread_t()
  let context = Unmanaged.passRetained(Box(body)).toOpaque()
  let status = pthread_create(
    &thread, nil,
    { @Sendable context in
      if let context { Unmanaged<Box>.fromOpaque(context).takeRetainedValue().body() }
      return nil
    }, context)
  precondition(status == 0, "no thread")
  pthread_detach(thread)
}
