import CLinux
import Core
import EventLoop
import Glibc
import Telemetry
import Wire

/// The connection to the shim that serves: orders to it, and its acknowledgements and log lines. It ends with each
/// shim; what was not acknowledged is said again to the next one, and so is the log's level. `ShimHost` has one for
/// each mount. The link owns the pipe and the `OrderBook`, all on the dispatch loop; connecting is done on worker
/// threads by its `Greeter`.
@DispatchLoop
final class ShimLink {
  private let path: String
  private let greeter = Greeter()
  private var pipe: LoopPipe?
  private var reader = FrameReader()
  private var orders = OrderBook()
  /// The shim at the other end.
  private var peer: UInt64 = 0
  /// Frames that are none, and acknowledgements of nothing.
  private(set) var hostileFrames: UInt64 = 0
  /// The shim `identity` sent bytes that are no message. By then the link is closed.
  var onGarbage: ((_ identity: UInt64, _ cause: String) -> Void)?
  /// The shim `identity` has closed its end; a death comes with it, or after it.
  var onEnd: ((_ identity: UInt64) -> Void)?

  /// - Parameter path: of the socket that shims accept on.
  init(path: String) { self.path = path }

  var isOpen: Bool { pipe != nil }
  /// Orders that were not acknowledged yet.
  var unacknowledged: Int { orders.count }

  // MARK: Opening and closing

  /// Makes the connection by which a shim said hello the link.
  func open(_ socket: OwnedDescriptor, of identity: UInt64) throws(LoopError) {
    close()
    // The pipe owns and closes what it is given.
    let duplicate = Greeter.spares.duplicate(socket.number)
    guard duplicate >= 0 else { throw LoopError(code: duplicate) }
    reader = FrameReader()
    let pipe = try LoopPipe(
      descriptor: duplicate, on: EventLoop.dispatch, received: { [weak self] in self?.heard($0) },
      ended: { [weak self] in self?.ended() })
    self.pipe = pipe
    peer = identity
    // The shim that was told them may not have lived to obey.
    pipe.write(([Self.levelFrame] + orders.frames).flatMap { $0 })
  }

  func close() {
    pipe?.close()
    pipe = nil
  }

  /// Connects to the shim `identity`, which accepts now: the listening socket is inherited, so a connection waits there
  /// until the successor comes to it.
  /// - Parameter isWanted: false ends the attempts: another shim serves, or none.
  /// - Returns: why it cannot be linked to after three seconds of attempts; nil if it was, or is not wanted any more.
  func connect(to identity: UInt64, while isWanted: () -> Bool) async -> String? {
    let deadline = SystemClock().now() + .seconds(3)
    while isWanted(), pipe == nil {
      let cause: String
      switch await greet() {
      case .success(let (socket, greeting)):
        guard isWanted(), pipe == nil else { return nil }
        if greeting.status == 0, greeting.identity == identity, Hello.isAlive(identity) {
          do throws(LoopError) {
            try open(socket, of: identity)
            return nil
          } catch {
            cause = error.description
          }
        } else {
          cause = greeting.status == 0 ? "the process \(greeting.pid) answered in its place" : greeting.message
        }
      case .failure(let error):
        // For want of a descriptor no shim is blamed, however long that lasts.
        if error.isShortage {
          await pause(.milliseconds(100))
          continue
        }
        cause = error.description
      }
      if SystemClock().now() >= deadline { return cause }
      await pause(.milliseconds(20))
    }
    return nil
  }

  private func greet() async -> Result<(OwnedDescriptor, Greeting), HelloError> {
    switch await greeter.connect(path) {
    case .failure(let error): .failure(error)
    // The duplicates it brings are not needed: this process has its own.
    case .success(let socket): await greeter.hear(within: .seconds(2), takesDescriptors: false).map { (socket, $0) }
    }
  }

  /// Ends an attempt under way.
  func interrupt() { greeter.interrupt() }

  // MARK: Saying

  /// Says an order, now if a shim is linked, and to each one that is linked until it is acknowledged. `done` comes
  /// then.
  func say(_ order: Order, done: (@DispatchLoop () -> Void)? = nil) {
    let frame = orders.add(order, done: done)
    pipe?.write(frame)
  }

  func sayDrain() { pipe?.write(Order.drainFrame()) }
  func sayQuit() { pipe?.write(Order.quitFrame()) }
  /// The log's level, as it is now. Each link begins with it.
  func sayLevel() { pipe?.write(Self.levelFrame) }

  /// There is no mount any more, so nothing to carry out: everything that waits is done.
  func abandonOrders() { for done in orders.abandon() { done() } }

  private static var levelFrame: [UInt8] { Order.logLevelFrame(Log.level.shimNumber) }

  // MARK: Hearing

  private func heard(_ bytes: UnsafeRawBufferPointer) {
    reader.append(bytes)
    do throws(FrameError) {
      while let frame = try reader.next() { take(frame) }
    } catch {
      hostileFrames &+= 1
      close()
      onGarbage?(peer, "it sent what is no message (\(error))")
    }
  }

  private func take(_ frame: ShimFrame) {
    switch frame {
    case .acknowledged(let number):
      let answer = orders.acknowledge(number)
      if !answer.isKnown { hostileFrames &+= 1 }
      answer.done?()
    case .log(let level, let text):
      let fields: Log.Fields = ["pid": Int32(truncatingIfNeeded: peer & 0xffff_ffff), "text": text]
      switch Log.Level(shimNumber: level) {
      case .error: Log.error(.shim, fields)
      case .warning: Log.warning(.shim, fields)
      case .info: Log.info(.shim, fields)
      case .debug: Log.debug(.shim, fields)
      }
    }
  }

  private func ended() {
    close()
    onEnd?(peer)
  }
}

extension SpareDescriptors {
  /// A duplicate above standard error, close-on-exec; a negative errno if there is none.
  fileprivate func duplicate(_ descriptor: Int32) -> Int32 {
    let copy = call { clinux_dup_above(descriptor, 3) }
    return copy >= 0 ? copy : -errno
  }
}

extension Log.Level {
  /// The shim counts the other way: 0 errors, 3 everything.
  var shimNumber: UInt32 {
    switch self {
    case .error: 0
    case .warning: 1
    case .info: 2
    case .debug: 3
    }
  }

  init(shimNumber: UInt32) {
    switch shimNumber {
    case 0: self = .error
    case 1: self = .warning
    case 2: self = .info
    default: self = .debug
    }
  }
}
