import CLinux
import Core
import EventLoop
import Glibc
import Telemetry
import Testing
import Volume
import Wire

@testable import ShimHost

/// The control plane against shims that die, lie or hang, played by programs that do so on purpose.
@Suite(.serialized) struct TakeoverTests {
  init() { EventLoop.start() }

  /// Mounts, says hello, and does `afterwards` once the test says `go`.
  private func mounting(_ afterwards: String) -> String {
    """
    descriptors = fds()
    mount(descriptors[0], arguments["--mountpoint"], arguments["--fsname"].encode())
    header = activate(descriptors)
    accept(); say(hello(), descriptors)
    while not os.path.exists(os.path.dirname(sys.argv[0]) + "/go"):
      time.sleep(0.005)
      header.put(72, time.monotonic_ns())
    \(afterwards)
    while True:
      time.sleep(0.05)
      header.put(72, time.monotonic_ns())
    """
  }

  @DispatchLoop
  private func mounted(
    _ afterwards: String = "", successor: String = "succeed()", standby: Bool = true,
    shimTimeout: Duration = .seconds(60),
    _ body: @DispatchLoop (Scratch, FakeVolume, ShimHost) async throws -> Void
  ) async throws {
    let scratch = try Scratch()
    defer { scratch.clear() }
    let volume = FakeVolume(folder: scratch.backing)
    var options = scratch.host(volume, shim: try FakeShim.make(mounting(afterwards), successor: successor, in: scratch))
      .options
    options.standby = standby
    options.shimTimeout = shimTimeout
    let host = ShimHost(options: options, volume: volume)
    var reports: [String] = []
    host.onShimEnd = { reports.append($0) }
    try await host.start()
    do {
      try await body(scratch, volume, host)
    } catch {
      await host.stop()
      throw error
    }
    let pids = host.shims.map(\.pid)
    await host.stop()
    #expect(reports == [])
    #expect(host.shims.isEmpty)
    for pid in pids { #expect(kill(pid, 0) != 0) }
    #expect(!MountTable.current().isMounted(scratch.mountpoint))
    #expect(access(scratch.runtime + "/shim.sock", F_OK) != 0)
  }

  private func go(_ scratch: Scratch) { FileManager.write([], to: scratch.runtime + "/go") }

  /// A successor serves, and is linked to.
  @DispatchLoop
  private func serves(_ host: ShimHost, epoch: UInt64) async -> Bool {
    await eventually {
      host.figures?.epoch == epoch && host.figures?.state == .serving && host.link.isOpen
        && host.process?.identity == host.region?.active
    }
  }

  @Test(
    "a shim that is killed is replaced by the standby, and that one's place filled again", arguments: [true, false])
  @DispatchLoop
  func killed(standby: Bool) async throws {
    try await mounted(standby: standby) { _, _, host in
      for epoch in 2...4 as ClosedRange<UInt64> {
        if standby { #expect(await eventually { host.shims.contains { $0.identity == host.region?.standby } }) }
        let pid = host.process?.pid
        #expect((host.figures?.standbyPid != nil) == standby)
        host.process?.kill(SIGKILL)
        #expect(await serves(host, epoch: epoch))
        #expect(host.figures?.pid != pid && host.figures?.restarts == Int(epoch) - 1)
      }
      #expect(host.supervision?.crashes == 0)
    }
  }

  @Test("orders that were not acknowledged are said again to the successor, in their order") @DispatchLoop
  func ordersAgain() async throws {
    let told = """
      register(); await_end(); claim(); accept(); say(hello(), handed)
      connection.recv(20, socket.MSG_WAITALL) # the log's level
      data = connection.recv(24 + 40, socket.MSG_WAITALL)
      first = struct.unpack_from("<IIQQ", data); second = struct.unpack_from("<IIQQ", data, 24)
      if (first[1], first[2], first[3]) == (8, 1, 1) and (second[1], second[2]) == (3, 2):
        say(frame(1, 1) + frame(1, 2))
      while True:
        time.sleep(0.05)
        header.put(72, time.monotonic_ns())
      """
    try await mounted(successor: told) { _, _, host in
      var done: [Int] = []
      host.invalidateAttributes(directories: [.root], files: []) { done.append(1) }
      host.invalidatePages(of: NodeID(7)) { done.append(2) }
      #expect(await eventually { host.shims.contains { $0.identity == host.region?.standby } })
      #expect(done == [])
      host.process?.kill(SIGKILL)
      #expect(await serves(host, epoch: 2))
      #expect(await eventually { done == [1, 2] })
      #expect(host.link.unacknowledged == 0 && host.figures?.hostile == 0)
    }
  }

  @Test("garbage on the link ends the trust in a shim: it is killed and replaced")
  @DispatchLoop func hostile() async throws {
    for act in [
      "say(b'\\xff' * 64)", "say(frame(3))", "say(frame(2, 0, b'x'))", "say(struct.pack('<IIQ', 5000, 2, 0))",
    ] {
      try await mounted(act) { scratch, _, host in
        go(scratch)
        #expect(await serves(host, epoch: 2), "\(act)")
        #expect(host.figures?.hostile == 1 && host.supervision?.crashes == 1, "\(act)")
      }
    }
  }

  @Test("a hundred wrong words in slots, handles and leases cost what is in those rows, and neither shim nor mount")
  @DispatchLoop
  func wrongWords() async throws {
    let act = """
      def section(number):
        return struct.unpack_from("<Q", HEADER, 224 + 16 * number)[0]
      for row in range(100):
        header.put(section(1) + (128 + row) * 8, 99 + row)
        header.put(section(4) + row * 128, 77)
        header.put(section(4) + row * 128 + 8, 2 ** 63 + row)
        header.put(section(5) + row * 128 + 8, 2 ** 64 - 1)
      # Requests that no honest shim makes: an operation that is none, a READ past the end of all files.
      for row in range(300, 310):
        struct.pack_into("<I", header.bytes, section(2) + row * 512, 99 if row % 2 else 5)
        header.put(section(2) + row * 512 + 32, 2 ** 63)
        header.put(section(1) + row * 8, 3)
      header.bytes[88:92] = struct.pack('<I', 400)
      header.bytes[92:96] = struct.pack('<I', 2 ** 31)
      header.put(80, 5)
      os.eventfd_write(descriptors[3], 1)
      """
    try await mounted(act) { scratch, volume, host in
      go(scratch)
      #expect(await eventually { host.figures?.hostile == 110 })
      for _ in 0..<3 { host.rang() }
      #expect(host.figures?.hostile == 110 && host.figures?.state == .serving && host.figures?.epoch == 1)
      #expect(host.supervision?.crashes == 0 && volume.open.isEmpty && volume.miscounts == 0)
    }
  }

  @Test("log lines and acknowledgements of nothing do no harm; a closed link without an end does, after half a second")
  @DispatchLoop
  func closedLink() async throws {
    let act =
      "say(frame(2, 0, struct.pack('<I', 1) + b'a line') + frame(1, 77)); connection.shutdown(2); connection.close()"
    try await mounted(act) { scratch, _, host in
      go(scratch)
      #expect(await serves(host, epoch: 2))
      #expect(host.figures?.hostile == 1)
    }
  }

  @Test("a shim whose heartbeat stands still is killed and replaced") @DispatchLoop
  func hung() async throws {
    try await mounted("os.kill(os.getpid(), 19)", shimTimeout: .seconds(2)) { scratch, _, host in
      go(scratch)
      #expect(await serves(host, epoch: 2))
    }
  }

  @Test("a standby that hangs when it should claim is killed, and another one takes over") @DispatchLoop
  func noClaim() async throws {
    let once = """
      mark = os.path.dirname(sys.argv[0]) + "/hung"
      if not os.path.exists(mark):
        open(mark, "w").close()
        register(); time.sleep(60)
      succeed()
      """
    try await mounted(successor: once) { _, _, host in
      #expect(await eventually { host.shims.contains { $0.identity == host.region?.standby } })
      host.process?.kill(SIGKILL)
      #expect(await serves(host, epoch: 2))
      #expect(host.supervision?.crashes == 0 || host.supervision?.crashes == 1)
    }
  }

  @Test("one that answers the link in another's name is not the successor, and is replaced") @DispatchLoop
  func impostor() async throws {
    let once = """
      mark = os.path.dirname(sys.argv[0]) + "/lied"
      if not os.path.exists(mark):
        open(mark, "w").close()
        register(); await_end(); claim()
        while True:
          accept(); say(hello(who=1), handed)
          header.put(72, time.monotonic_ns())
      succeed()
      """
    try await mounted(successor: once) { _, _, host in
      #expect(await eventually { host.shims.contains { $0.identity == host.region?.standby } })
      host.process?.kill(SIGKILL)
      #expect(await serves(host, epoch: 3))
    }
  }

  @Test("a standby that dies while idle is replaced") @DispatchLoop
  func idleDeath() async throws {
    try await mounted { _, _, host in
      #expect(await eventually { host.figures?.standbyPid != nil })
      let first = host.shims.first { $0 !== host.process }
      first?.kill(SIGKILL)
      #expect(await eventually { host.figures?.standbyPid != nil && host.figures?.standbyPid != first?.pid })
      #expect(host.figures?.epoch == 1 && host.figures?.state == .serving)
    }
  }

  @Test(
    "without any successor it is given up with the reason: the connection is ended, the control plane says so and stays"
  )
  @DispatchLoop func crashLoop() async throws {
    try await mounted(successor: "sys.exit(3)") { scratch, volume, host in
      host.process?.kill(SIGKILL)
      #expect(await eventually { host.figures?.state == .replacing })
      // The delays between ten of them are eleven seconds and a half.
      #expect(await eventually(within: .seconds(60)) { host.figures?.state == .failed })
      #expect(host.figures?.reason?.contains("exit code 3") == true)
      #expect(await eventually { host.channel == nil && host.shims.isEmpty })
      // The dead mount is not waited for.
      var isDone = false
      host.invalidateAttributes(directories: [.root], files: []) { isDone = true }
      #expect(isDone)
      let path = scratch.mountpoint
      let probe = HangingCall { Mountpoint.probe(path) }
      #expect(await Task.detached { probe.join() }.value == .dead)
    }
  }

  @Test("shims that cannot get threads or descriptors for a while are waited for, and the status says what is lacking")
  @DispatchLoop
  func shortage() async throws {
    let short = """
      folder = os.path.dirname(sys.argv[0])
      open(folder + "/tries", "a").write("x")
      if not os.path.exists(folder + "/room"):
        sys.exit(75)
      succeed()
      """
    try await mounted(successor: short) { scratch, _, host in
      host.process?.kill(SIGKILL)
      let tries = scratch.runtime + "/tries"
      #expect(await eventually(within: .seconds(90)) { ((try? FileManager.read(tries).get())?.count ?? 0) >= 6 })
      #expect(
        host.figures?.state == .replacing && host.figures?.reason?.contains("the machine lacks something") == true)
      #expect(host.supervision?.crashes == 0)
      FileManager.write([], to: scratch.runtime + "/room")
      #expect(await serves(host, epoch: 2))
      #expect(await eventually { host.figures?.reason == nil && host.figures?.standbyPid != nil })
    }
  }

  @Test("the log's level reaches the shim that serves, when it changes and after each takeover") @DispatchLoop
  func logLevel() async throws {
    let hears = """
      accept(); say(hello(), handed)
        while True:
          level = connection.recv(20, socket.MSG_WAITALL)
          open(os.path.dirname(sys.argv[0]) + "/levels", "a").write("%d:%d:%d " % struct.unpack("<I4xQI", level))
          header.put(72, time.monotonic_ns())
      """
    let level = Log.level
    defer { Log.level = level }
    try await mounted(successor: "def serve():\n  \(hears)\nsucceed()", shimTimeout: .seconds(60)) { scratch, _, host in
      #expect(await eventually { host.shims.contains { $0.identity == host.region?.standby } })
      host.process?.kill(SIGKILL)
      #expect(await serves(host, epoch: 2))
      Log.level = .error
      host.logLevelChanged()
      let file = scratch.runtime + "/levels"
      func heard() -> String { (try? FileManager.read(file).get()).map { String(decoding: $0, as: UTF8.self) } ?? "" }
      #expect(await eventually { heard().split(separator: " ").count == 2 })
      #expect(heard() == "20:0:\(level.shimNumber) 20:0:0 ")
      host.process?.kill(SIGKILL)
      #expect(await serves(host, epoch: 3))
      #expect(await eventually { heard().hasSuffix("20:0:0 20:0:0 ") })
    }
  }

  @Test("a stop in the middle of a takeover ends all of it", arguments: [0, 1, 3, 10, 30, 100]) @DispatchLoop
  func stopped(milliseconds: Int) async throws {
    try await mounted { _, _, host in
      #expect(await eventually { host.figures?.standbyPid != nil })
      host.process?.kill(SIGKILL)
      try await Task.sleep(for: .milliseconds(milliseconds))
    }
  }

  @Test("a stopped shim and a stopped standby do not hold up the end") @DispatchLoop
  func stoppedShims() async throws {
    try await mounted { _, _, host in
      #expect(await eventually { host.figures?.standbyPid != nil })
      for shim in host.shims { shim.kill(SIGSTOP) }
    }
  }

  @Test("a mount that was taken away from outside is reported once, and nothing is spawned for it") @DispatchLoop
  func unmounted() async throws {
    let scratch = try Scratch()
    defer { scratch.clear() }
    let volume = FakeVolume(folder: scratch.backing)
    let host = scratch.host(volume, shim: try FakeShim.make(mounting("sys.exit(0)"), in: scratch))
    var reports: [String] = []
    host.onShimEnd = { reports.append($0) }
    try await host.start()
    #expect(await eventually { host.figures?.standbyPid != nil })
    #expect(umount2(scratch.mountpoint, 0) == 0)
    go(scratch)
    #expect(await eventually { !reports.isEmpty })
    #expect(await eventually { host.shims.isEmpty })
    #expect(reports.count == 1 && reports.first?.contains("was unmounted from outside") == true)
    #expect(host.figures?.state == .failed && host.figures?.reason == reports.first)
    await host.stop()
  }

  @Test("an order of a person to kill the shim returns when its successor serves, and one to hand over needs a standby")
  @DispatchLoop
  func orders() async throws {
    try await mounted { _, _, host in
      try await host.killShim()
      #expect(host.figures?.epoch == 2)
      // The fake ones know no DRAIN: they are killed after two seconds.
      try await host.restartShim()
      #expect(host.figures?.epoch == 3)
      #expect(await serves(host, epoch: 3))
      #expect(host.supervision?.crashes == 0)
    }
  }
}
