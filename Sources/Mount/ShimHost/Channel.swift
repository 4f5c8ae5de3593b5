import Core
import EventLoop
import Glibc
import Volume
import Wire

/// The resources that a mount's processes share, as a shim's hello brought them: the region with the objects that read
/// it, /dev/fuse, the doorbells, the listening socket. `ShimHost` makes one for each mount and keeps it in its phase;
/// it is used on the dispatch loop and waits for nothing.
@DispatchLoop
final class Channel {
  let region: Region
  let dispatch: Dispatch
  let leases: Leases
  /// Our duplicate of /dev/fuse. The mount lives as long as any is open.
  let device: OwnedDescriptor
  private let regionDescriptor: OwnedDescriptor
  private let shimBell: Doorbell
  private let bell: Doorbell
  private var listening: OwnedDescriptor
  private let poll: LoopPoll

  /// - Parameters:
  ///   - listening: the socket that shims accept on; nil: the hello's own.
  ///   - table: of leases; nil: a new one.
  ///   - rang: the shim rang the doorbell, which is cleared by then.
  /// - Throws: `badDescriptor` if one of them is not what it is said to be.
  init(
    _ greeting: Greeting, _ region: Region, listening: OwnedDescriptor?, table: LeaseTable?, options: ShimHost.Options,
    volume: any Volume,
    link: ShimLink, rang: @escaping @DispatchLoop () -> Void
  ) throws(ShimHostError) {
    var status = stat()
    guard fstat(greeting.device.number, &status) == 0, status.st_mode & S_IFMT == S_IFCHR else {
      throw .badDescriptor("/dev/fuse")
    }
    let (shimBell, bell) = (Doorbell(greeting.shimBell), Doorbell(greeting.controlBell))
    guard shimBell.isNonBlocking, bell.isNonBlocking else { throw .badDescriptor("a doorbell") }
    self.region = region
    self.shimBell = shimBell
    self.bell = bell
    device = greeting.device
    regionDescriptor = greeting.region
    self.listening = listening ?? greeting.listening
    dispatch = Dispatch(region: region, shimBell: shimBell, volume: volume)
    leases = Leases(
      table ?? LeaseTable(region: region), roots: options.roots.count, window: options.windowRoot, link: link)
    do throws(LoopError) {
      poll = try LoopPoll(bell.number, on: EventLoop.dispatch) { _ in
        DispatchLoop.assumeIsolated {
          bell.clear()
          rang()
        }
      }
    } catch {
      throw .loop(error.description)
    }
  }

  /// From now on the doorbell is heard.
  func hear() { poll.start(.readable) }
  func ringOurselves() { bell.ring() }

  /// The descriptors that a successor gets after the three standard ones, by the names of its options.
  var forSuccessor: [(name: String, descriptor: Int32)] {
    [
      ("--fuse", device.number), ("--region", regionDescriptor.number), ("--shim-bell", shimBell.number),
      ("--control-bell", bell.number),
      ("--listen", listening.number),
    ]
  }

  /// Shims that are started from now on accept on that socket.
  func listen(on socket: OwnedDescriptor) { listening = socket }

  /// Hears nothing more. The descriptors are closed when the last reference has gone.
  func close() { poll.close() }
}

/// A mount that is there. The phase of `ShimHost` holds it.
struct Mounted {
  let channel: Channel
  /// Absolute and free of links.
  let path: String
  /// The number under /sys/fs/fuse/connections.
  let connection: UInt64
}
