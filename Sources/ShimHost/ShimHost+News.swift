import CLinux
import Core
import EventLoop
import Glibc
import Telemetry
import Wire

extension ShimHost {
  /// Makes the connection by which a shim said hello the link.
  func open(_ socket: OwnedDescriptor, of who: UInt64) throws(LoopError) {
    // The pipe owns and closes what it is given.
    let duplicate = clinux_dup_above(socket.number, 3)
    guard duplicate >= 0 else { throw LoopError(code: -errno) }
    reader = FrameReader()
    link = try LoopPipe(
      descriptor: duplicate, on: EventLoop.dispatch, received: { [weak self] in self?.heard($0) },
      ended: { [weak self] in self?.linkEnded(of: who) })
    // Whoever was told them may not have lived to obey.
    for frame in orders.frames { link?.write(frame) }
  }

  func closeLink() {
    link?.close()
    link = nil
  }

  // MARK: News

  private func heard(_ bytes: UnsafeRawBufferPointer) {
    reader.append(bytes)
    do throws(FrameError) {
      while let frame = try reader.next() { take(frame) }
    } catch {
      hostileFrames &+= 1
      closeLink()
      distrust("it sent what is no message (\(error))")
    }
  }

  private func take(_ frame: ShimFrame) {
    switch frame {
    case .acknowledged(let number):
      let answer = orders.acknowledge(number)
      if !answer.isKnown { hostileFrames &+= 1 }
      answer.done?()
    case .log(let level, let text):
      let pid = process?.pid ?? 0
      switch Log.Level(shimNumber: level) {
      case .error: Log.error("shim", ["pid": pid, "text": text])
      case .warning: Log.warning("shim", ["pid": pid, "text": text])
      case .info: Log.info("shim", ["pid": pid, "text": text])
      case .debug: Log.debug("shim", ["pid": pid, "text": text])
      }
    }
  }

  /// The news of a death, or of a shim that trusts us no more.
  private func linkEnded(of who: UInt64) {
    closeLink()
    guard phase == .serving || phase == .starting else { return }
    Task { @DispatchLoop [weak self] in
      // Of a death the process's own end says more, and comes within milliseconds.
      await self?.pause(.milliseconds(500))
      guard let self, link == nil, let process, process.who == who, process.isRunning else { return }
      distrust("it closed its link but goes on running")
    }
  }

  // MARK: The link to a successor

  /// Connects to whoever accepts now; the listening socket is inherited, so a connection waits there until the successor comes to it.
  func linkAgain() {
    closeLink()
    Task { @DispatchLoop [weak self] in await self?.linkToActive() }
  }

  private func linkToActive() async {
    guard let who = supervision?.active, let region else { return }
    let deadline = SystemClock().now() + .seconds(3)
    // As long as it serves: with the next takeover comes the next attempt.
    while phase == .serving, supervision?.active == who, link == nil {
      let cause: String
      switch await hello() {
      case .success(let (socket, greeting)):
        guard phase == .serving, supervision?.active == who, link == nil else { return }
        // The duplicates it brings are dropped: we have ours.
        if greeting.status == 0, greeting.who == who, region.active == who, Hello.isAlive(who) {
          do throws(LoopError) {
            try open(socket, of: who)
            return Log.info("shim.linked", ["pid": greeting.pid, "epoch": region.epoch, "outage_us": region.outage / 1000])
          } catch {
            cause = error.description
          }
        } else {
          cause = greeting.status == 0 ? "the process \(greeting.pid) answered in its place" : greeting.message
        }
      case .failure(let error):
        cause = error.description
      }
      if SystemClock().now() >= deadline { return distrust("it cannot be linked to, as \(cause)") }
      await pause(.milliseconds(20))
    }
  }

  private func hello() async -> Result<(OwnedDescriptor, Greeting), HelloError> {
    let path = socketPath
    let socket: OwnedDescriptor
    switch await onWorker({ Hello.connect(path) }) {
    case .success(let connection): socket = connection
    case .failure(let error): return .failure(error)
    }
    // A stop shuts it down.
    greetingSocket = socket
    defer { greetingSocket = nil }
    return await onWorker { Hello.hear(socket, milliseconds: 2000).map { (socket, $0) } }
  }
}
