import CLinux
import Core
import EventLoop
import Glibc
import Support
import Testing

@testable import Transfer

/// The watcher of the network and of the machine's sleep: what it hears, what it makes of it, and what it survives.
@Suite(.timeLimit(.minutes(5)))
struct NetworkWatchTests {
  init() { EventLoop.start() }

  /// Clocks that a test moves.
  @TransferLoop
  private final class Told {
    var count = 0
    var slept = Duration.zero
    var clocks: Clocks {
      Clocks(awake: Moment(nanoseconds: 1_000_000_000), always: Moment(nanoseconds: 1_000_000_000) + slept)
    }
  }

  @TransferLoop
  private static func until(_ claim: () -> Bool) async { while !claim() { await Task.yield() } }

  /// A datagram socket in the place of netlink's: the watcher reads no more of a message than that it came.
  private static func sockets() -> (ours: Int32, theirs: Int32) {
    var ends: [Int32] = [0, 0]
    #expect(
      socketpair(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0, &ends) == 0)
    return (ends[0], ends[1])
  }

  @Test("a swarm of changes is told once, and one that comes after the pause once more")
  @TransferLoop func swarm() async {
    let (ours, theirs) = Self.sockets()
    let told = Told()
    let watch = NetworkWatch(descriptor: ours, clocks: { told.clocks }) { told.count += 1 }
    for _ in 0..<40 { #expect(send(theirs, "x", 1, 0) == 1) }
    await Self.until { told.count > 0 }
    // These come within the pause.
    for _ in 0..<40 { #expect(send(theirs, "x", 1, 0) == 1) }
    await Self.until { told.count > 1 }
    #expect(told.count == 2)
    watch.close()
    close(theirs)
  }

  @Test("a descriptor that ends or fails ends the watch, and the clocks go on without it", arguments: [true, false])
  @TransferLoop func without(descriptor: Bool) async {
    let told = Told()
    var watched: Int32 = -1
    if descriptor {
      let (ours, theirs) = Self.sockets()
      close(theirs)
      watched = ours
    }
    let watch = NetworkWatch(descriptor: watched, clocks: { told.clocks }) { told.count += 1 }
    for _ in 0..<100 { await Task.yield() }
    watch.lookAtClocks()
    #expect(told.count == 0)
    told.slept = .seconds(30)
    watch.lookAtClocks()
    watch.lookAtClocks()
    #expect(told.count == 1)
    told.slept += .milliseconds(900)
    watch.lookAtClocks()
    #expect(told.count == 1, "the two clocks are never quite together")
    watch.close()
    watch.close()
  }

  /// Needs root, for a network of its own; a machine that gives none has the tests above.
  @Test("a link that comes up in a real network is heard", .enabled(if: geteuid() == 0))
  @TransferLoop func real() async throws {
    // A thread with a network of its own makes the sockets and ends; they stay in that network.
    let made = await OwnThread.run { () -> (watched: Int32, socket: Int32)? in
      typealias Unshare = @convention(c) (Int32) -> Int32
      guard let symbol = dlsym(nil, "unshare") else { return nil }
      let newNetwork: Int32 = 0x4000_0000
      guard unsafeBitCast(symbol, to: Unshare.self)(newNetwork) == 0 else { return nil }
      return (clinux_watch_network(), socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
    }
    guard let (watched, socket) = made, watched >= 0, socket >= 0 else { return }
    let told = Told()
    let watch = NetworkWatch(descriptor: watched, clocks: { told.clocks }) { told.count += 1 }
    for _ in 0..<100 { await Task.yield() }
    #expect(told.count == 0, "nothing has happened yet")
    // The loopback device of that network, which begins down.
    // struct ifreq: 16 bytes of name, then the flags, of which the first is IFF_UP.
    var request = Array("lo".utf8) + [UInt8](repeating: 0, count: 38)
    request[16] = 1
    let setFlags: UInt = 0x8914
    #expect(request.withUnsafeMutableBytes { bytes in bytes.baseAddress.map { ioctl(socket, setFlags, $0) } } == 0)
    await Self.until { told.count > 0 }
    watch.close()
    close(socket)
  }
}
