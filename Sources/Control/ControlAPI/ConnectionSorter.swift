import ControlRoutes
import Core
import EventLoop
import Glibc

/// Decides for each new connection of the API's Unix socket which server it is for, by a look at its first bytes that
/// leaves them unread (docs/adr/0046). A connection that has sent nothing waits here without costing the loop anything;
/// one whose bytes do not tell is looked at again after a moment. Its `Listener` owns it, on the dispatch loop.
@DispatchLoop
final class ConnectionSorter {
  /// A client that has not sent a first line for so long is let go, as libmicrohttpd would.
  private static let patience: Duration = .seconds(10)
  /// Between two looks at connections whose first bytes do not tell.
  private static let round: Duration = .milliseconds(50)

  private struct Waiting {
    var poll: LoopPoll
    var since: Moment
    var address: sockaddr_storage
    var length: socklen_t
    /// Bytes have come, and more are needed.
    var isOpen = false
  }

  private let adopters: [ConnectionAdopter]
  private let clock = SystemClock()
  private var waiting: [Int32: Waiting] = [:]
  private var timer: LoopTimer?
  /// Gets the connections that are ours.
  private let keep: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Void
  /// Called when connections have left that came on another turn of the loop.
  private let decided: () -> Void

  init(
    _ adopters: [ConnectionAdopter],
    keep: @escaping @DispatchLoop (Int32, UnsafePointer<sockaddr>, socklen_t) -> Void,
    decided: @escaping @DispatchLoop () -> Void
  ) throws {
    self.adopters = adopters
    self.keep = keep
    self.decided = decided
    timer = try LoopTimer(on: .dispatch) { [weak self] in DispatchLoop.assumeIsolated { self?.lookAgain() } }
  }

  /// Connections that wait for a decision.
  var count: UInt32 { UInt32(clamping: waiting.count) }

  /// - Parameter connection: non-blocking; this object's from then on.
  func take(_ connection: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) {
    switch look(connection) {
    case .ours?: keep(connection, address, length)
    case .adopted(let index)?: adopters[index].adopt(connection)
    case .undecided?, nil:
      var copy = sockaddr_storage()
      withUnsafeMutableBytes(of: &copy) {
        $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: min(Int(length), $0.count)))
      }
      wait(connection, copy, length)
    }
  }

  private func wait(_ connection: Int32, _ address: sockaddr_storage, _ length: socklen_t) {
    let poll = try? LoopPoll(connection, on: .dispatch) { [weak self] _ in
      DispatchLoop.assumeIsolated { self?.cameBytes(connection) }
    }
    guard let poll, let timer else {
      close(connection)
      return
    }
    if waiting.isEmpty { timer.start(after: Self.round, every: Self.round) }
    waiting[connection] = Waiting(poll: poll, since: clock.now(), address: address, length: length)
    poll.start(.readable)
  }

  /// Nil: nothing has come. A connection at its end is ours, whose server sees to it.
  private func look(_ connection: Int32) -> FirstRequest? {
    var bytes = [UInt8](repeating: 0, count: FirstRequest.look)
    let count = recv(connection, &bytes, bytes.count, Int32(MSG_PEEK | MSG_DONTWAIT))
    if count < 0 { return errno == EAGAIN || errno == EINTR ? nil : .ours }
    guard count > 0 else { return .ours }
    return FirstRequest(bytes[..<count], prefixes: adopters.map(\.prefixes))
  }

  private func cameBytes(_ connection: Int32) {
    let verdict = look(connection)
    if verdict == .undecided {
      // It would be readable all the time.
      waiting[connection]?.poll.stop()
      waiting[connection]?.isOpen = true
    } else if let verdict {
      decide(connection, verdict)
      decided()
    }
  }

  private func decide(_ connection: Int32, _ verdict: FirstRequest) {
    guard let entry = waiting.removeValue(forKey: connection) else { return }
    entry.poll.close()
    if waiting.isEmpty { timer?.stop() }
    switch verdict {
    case .adopted(let index): adopters[index].adopt(connection)
    case .ours, .undecided:
      withUnsafePointer(to: entry.address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { keep(connection, $0, entry.length) }
      }
    }
  }

  private func lookAgain() {
    let now = clock.now()
    var isChanged = false
    for (connection, entry) in waiting {
      let isLate = now - entry.since >= Self.patience
      guard isLate || entry.isOpen else { continue }
      let verdict = entry.isOpen ? look(connection) : nil
      if let verdict, verdict != .undecided || isLate {
        decide(connection, verdict)
      } else if isLate {
        drop(connection)
      }
      isChanged = isChanged || waiting[connection] == nil
    }
    if isChanged { decided() }
  }

  private func drop(_ connection: Int32) {
    guard let entry = waiting.removeValue(forKey: connection) else { return }
    entry.poll.close()
    close(connection)
    if waiting.isEmpty { timer?.stop() }
  }

  /// Closes what waits.
  func end() {
    for connection in Array(waiting.keys) { drop(connection) }
    timer?.close()
    timer = nil
  }
}
