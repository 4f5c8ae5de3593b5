import Core

/// One answer's body on its way: where it is throttled, held, cut and counted. Used by its connection's thread only;
/// what it shares is in the hub.
final class BodyStream {
  /// Large enough that a call costs nothing against its bytes: over 1 GB/s on one connection.
  static let block = 256 << 10
  /// MHD_CONTENT_READER_END_WITH_ERROR: the connection closes short of its Content-Length.
  static let failed = -2
  /// MHD_CONTENT_READER_END_OF_STREAM, of a body without a Content-Length.
  private static let ended = -1

  enum Ending { case cut, reset, stall(for: Duration?) }

  private let hub: Hub
  private let content: any Content
  /// Offset of the body's first byte in the content.
  private let start: Int64
  let length: Int64
  private let file: String?
  private let peer: Int32
  /// Nil for the admin routes' bodies, which nothing slows down.
  private let route: Route?
  private var pacer = Pacer()
  private let epoch: Int
  private let refusals: Int
  private let silences: Int
  /// Given back with the last byte: before the client can have seen it and ask for more.
  var seat: Seat?

  /// Bytes a second for this answer alone, set by a fault; 0 is unlimited.
  var rate: Int64 = 0
  /// The fault that comes after so many bytes of the body.
  private var ending: (after: Int64, how: Ending)?

  init(
    hub: Hub, content: any Content, range: ByteRange, route: Route?, file: String? = nil, peer: Int32,
    ending: (after: Int64, how: Ending)? = nil
  ) {
    self.ending = ending
    (self.hub, self.content, self.route, self.file, self.peer) = (hub, content, route, file, peer)
    (start, length) = (range.start, range.count)
    (epoch, refusals, silences) = hub.state.withLock { state in
      if route == .storage {
        state.statistics.active += 1
        state.statistics.peakActive = max(state.statistics.peakActive, state.statistics.active)
      }
      return (state.epoch, state.refusals, state.silences)
    }
  }

  func finish() { if route == .storage { hub.state.withLock { $0.statistics.active -= 1 } } }

  /// Fills some of `buffer` and returns how much, or `failed`. Sleeps for as long as throttles and gates say; never
  /// returns 0, on which libmicrohttpd would call again at once.
  func read(at position: Int64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    if position >= length { return Self.ended }
    var wanted = Int(min(Int64(buffer.count), length - position))
    if let ending {
      if position >= ending.after {
        guard end(ending.how) else { return Self.failed }
      } else {
        wanted = Int(min(Int64(wanted), ending.after - position))
      }
    }
    let count = route == nil ? wanted : permit(start + position, wanted: wanted)
    guard count > 0 else { return Self.failed }
    content.fill(UnsafeMutableRawBufferPointer(rebasing: buffer[0..<count]), from: start + position)
    if position + Int64(count) == length { seat?.leave() }
    if let file, route == .storage { hub.state.withLock { $0.statistics.bytesSent[file, default: 0] += Int64(count) } }
    return count
  }

  /// False where the body ends here.
  private func end(_ how: Ending) -> Bool {
    switch how {
    case .cut: return false
    case .reset:
      resetConnection(peer)
      return false
    case .stall(let duration):
      ending = nil
      return stall(until: duration.map { hub.now() + $0 })
    }
  }

  private func stall(until deadline: Moment?) -> Bool {
    hub.state.withLock { $0.statistics.held += 1 }
    defer { hub.state.withLock { $0.statistics.held -= 1 } }
    while true {
      let (signal, isOver, isRefused) = hub.state.withLock {
        ($0.signal, $0.isStopping || $0.epoch != epoch, $0.refusals != refusals)
      }
      if isRefused { resetConnection(peer) }
      if isOver || isRefused { return false }
      switch signal.wait(peer: peer, until: deadline) {
      case .timedOut: return true
      case .peerGone: return false
      case .signalled: continue
      }
    }
  }

  private enum Turn {
    case stop
    case refused
    case held(Signal)
    case send(Int, at: Moment?, serial: Int)
  }

  /// How much may be sent now, after the wait for it; 0 where the answer is over.
  private func permit(_ offset: Int64, wanted: Int) -> Int {
    var isHeld = false
    defer { if isHeld { hub.state.withLock { $0.statistics.held -= 1 } } }
    while true {
      let now = hub.now()
      let turn = hub.state.withLock { state -> Turn in
        if state.isStopping { return .stop }
        if route == .storage, state.refusals != refusals { return .refused }
        if state.silences != silences {
          if state.epoch != epoch { return .stop }
          if !isHeld { state.statistics.held += 1 }
          isHeld = true
          return .held(state.signal)
        }
        var count = wanted
        for (_, gate) in state.gates where route.map({ gate.matches(route: $0, file: file) }) == true {
          if offset >= gate.from {
            if !isHeld { state.statistics.held += 1 }
            isHeld = true
            return .held(state.signal)
          }
          count = Int(min(Int64(count), gate.from - offset))
        }
        return route == .storage ? schedule(count, now, &state) : .send(count, at: nil, serial: 0)
      }
      switch turn {
      case .stop: return 0
      case .refused:
        resetConnection(peer)
        return 0
      case .held(let signal): if signal.wait(peer: peer, until: nil) == .peerGone { return 0 }
      case .send(let count, nil, _): return count
      case .send(let count, .some(let due), let serial):
        guard let isDue = wait(until: due, serial: serial) else { return 0 }
        if isDue { return count }
      }
    }
  }

  /// False if the settings changed meanwhile, nil if the client has gone. A long wait listens for both; a short one
  /// wants the precise timer.
  private func wait(until due: Moment, serial: Int) -> Bool? {
    while due - hub.now() > .milliseconds(50) {
      let (signal, isCurrent) = hub.state.withLock {
        ($0.signal, $0.settingsSerial == serial && $0.refusals == refusals && $0.silences == silences && !$0.isStopping)
      }
      if !isCurrent { return false }
      if signal.wait(peer: peer, until: due) == .peerGone { return nil }
    }
    sleep(until: due)
    return true
  }

  private func schedule(_ wanted: Int, _ now: Moment, _ state: inout Hub.State) -> Turn {
    let rates = [state.settings.rate, state.settings.ratePerConnection, rate].filter { $0 > 0 }
    guard let slowest = rates.min() else { return .send(wanted, at: nil, serial: state.settingsSerial) }
    let count = min(wanted, Pacer.slice(rate: slowest))
    var due = now
    if state.settings.rate > 0 { due = max(due, state.pacer.reserve(count, rate: state.settings.rate, now: now)) }
    let own = [state.settings.ratePerConnection, rate].filter { $0 > 0 }.min()
    if let own { due = max(due, pacer.reserve(count, rate: own, now: now)) }
    return .send(count, at: due, serial: state.settingsSerial)
  }
}
