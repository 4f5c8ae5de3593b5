import CLinux
import Core
import EventLoop
import Glibc
import Testing
import Volume
import Wire

@testable import ShimHost

/// Files served from a window, through real mounts.
@Suite(.serialized) struct WindowTests {
  init() { EventLoop.start() }

  private func pattern(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8 ^ $0 >> 18 &* 77) }
  }

  @DispatchLoop
  private func host(_ scratch: Scratch, _ volume: FakeVolume, _ window: OwnedDescriptor) throws -> ShimHost {
    var options = scratch.host(volume, shim: try Scratch.shim()).options
    options.window = window.number
    return ShimHost(options: options, volume: volume)
  }

  /// A mount with the file `a`, of two blocks and a bit.
  @DispatchLoop
  private func mounted(
    opensFiles: Bool = false, size: Int = 600_001, _ body: @DispatchLoop (Mount) async throws -> Void
  ) async throws {
    let scratch = try Scratch()
    defer { scratch.clear() }
    let volume = FakeVolume(folder: scratch.backing)
    let window = FakeWindow(OwnedDescriptor(try WindowFile.make().get()))
    let host = try host(scratch, volume, window.descriptor)
    try await host.start()
    await volume.warmUp(scratch.mountpoint)
    volume.window = window
    volume.opensFiles = opensFiles
    let bytes = pattern(size)
    let node = volume.add("a", bytes)
    // The file behind a lease over the file holds wrong bytes, so that the bytes read tell where they are from.
    FileManager.write([UInt8](repeating: 0xdd, count: size), to: "\(scratch.backing)/\(node.rawValue)")
    host.invalidateAttributes(directories: [.root], files: []) {}
    #expect(await eventually { host.link.unacknowledged == 0 })
    do {
      try await body(Mount(scratch: scratch, volume: volume, window: window, host: host, node: node, bytes: bytes))
    } catch {
      await host.stop()
      throw error
    }
    await host.stop()
    #expect(volume.open.isEmpty && volume.miscounts == 0)
  }

  private struct Mount {
    let scratch: Scratch
    let volume: FakeVolume
    let window: FakeWindow
    let host: ShimHost
    let node: NodeID
    let bytes: [UInt8]

    /// A thread that reads all of the file, none of it from the kernel's pages. A test must not join it before the step
    /// that lets it end.
    @DispatchLoop func reader() async -> HangingCall<Result<[UInt8], Errno>> {
      var isForgotten = false
      host.invalidatePages(of: node) { isForgotten = true }
      #expect(await eventually { isForgotten })
      let path = scratch.mountpoint + "/a"
      return HangingCall { FileManager.read(path) }
    }
    @DispatchLoop func read() async throws -> Result<[UInt8], Errno> { try await join(await reader()) }
    @DispatchLoop func join(_ reader: HangingCall<Result<[UInt8], Errno>>) async throws -> Result<[UInt8], Errno> {
      try #require(await Task.detached { reader.join() }.value)
    }
    @DispatchLoop var leased: UInt64 { host.figures?.counters.leased ?? 0 }
    var underWay: Int { volume.deliveries.withLock { $0.count { $0.isUnderWay } } }
  }

  @Test(
    "blocks that are in the window are served by the shim alone, and their frames are stamped; one that was taken away is asked for"
  )
  @DispatchLoop func serving() async throws {
    try await mounted { mount in
      #expect(mount.host.windowUses.lastUse(ofFrame: 0) == 0)
      #expect(try await mount.read() == .success(mount.bytes))
      let (reads, leased) = (mount.volume.reads, mount.leased)
      #expect(reads > 0)
      #expect(try await mount.read() == .success(mount.bytes))
      #expect(mount.volume.reads == reads && mount.leased > leased)
      let lease = try #require(mount.volume.windows[mount.node])
      #expect(lease.blockSize == 262_144 && mount.host.figures?.leases == 1)
      let uses = mount.host.windowUses
      for block in 0..<3 {
        let frame = try #require(mount.window.frame(of: block, lease))
        #expect(uses.lastUse(ofFrame: frame) > 0)
      }
      #expect(uses.lastUse(ofFrame: 3) == 0 && uses.lastUse(ofFrame: 16_383) == 0)

      mount.window.clear(1, of: lease)
      #expect(try await mount.read() == .success(mount.bytes))
      #expect(mount.volume.reads > reads && mount.volume.badReads == 0)
      #expect(mount.window.frame(of: 1, lease) == 3 && uses.lastUse(ofFrame: 3) > 0)
      #expect(await eventually { mount.underWay == 0 })
      #expect(mount.host.figures?.hostile == 0 && mount.host.figures?.counters.hostile == 0)
    }
  }

  @Test("a READ is answered through another lease than its handle's")
  @DispatchLoop func otherLease() async throws {
    try await mounted(opensFiles: true) { mount in
      for _ in 0..<3 {
        let read = try await mount.read()
        #expect(read == .success(mount.bytes))
      }
      #expect(mount.leased == 0 && mount.volume.badReads == 0 && mount.host.figures?.leases == 2)
      #expect(await eventually { mount.underWay == 0 })
      // The slots that were used so say nothing of the next ones: what is in the file is read by the handle's lease.
      let window = mount.volume.window
      mount.volume.window = nil
      let read = try await mount.read()
      #expect(read == .success([UInt8](repeating: 0xdd, count: mount.bytes.count)))
      mount.volume.window = window
    }
  }

  @Test("a delivery is under way until its reply has gone out, also where another shim sends it")
  @DispatchLoop func deliveries() async throws {
    try await mounted(size: 1000) { mount in
      for isKilled in [false, true] {
        mount.volume.isStalled = true
        let reads = mount.volume.reads
        if let lease = mount.volume.windows[mount.node] { mount.window.clear(0, of: lease) }
        let reader = await mount.reader()
        #expect(await eventually { mount.volume.reads == reads + 1 })
        #expect(await eventually { mount.host.figures?.standbyPid != nil && mount.host.region?.standby != 0 })
        let shim = try #require(mount.host.process)
        #expect(await stop(shim.pid))
        mount.volume.endStall()
        #expect(mount.underWay == 1)
        try await Task.sleep(for: .milliseconds(50))
        #expect(mount.underWay == 1)
        shim.kill(isKilled ? SIGKILL : SIGCONT)
        #expect(try await mount.join(reader) == .success(mount.bytes))
        #expect(await eventually { mount.underWay == 0 })
        #expect(mount.volume.badReads == 0)
      }
    }
  }

  @Test("an answer whose block has left the window is asked for again, as often as it takes, and never an error")
  @DispatchLoop func gone() async throws {
    try await mounted(size: 1000) { mount in
      mount.volume.isStalled = true
      let reader = await mount.reader()
      for turn in 1...6 {
        #expect(await eventually { mount.volume.reads == turn })
        #expect(await eventually { mount.host.figures?.state == .serving && mount.host.region?.standby != 0 })
        let lease = try #require(mount.volume.windows[mount.node])
        let shim = try #require(mount.host.process)
        #expect(await stop(shim.pid))
        mount.volume.endStall()
        mount.volume.isStalled = true
        mount.window.clear(0, of: lease)
        // The next shim does not inherit the stopped shim's counts.
        shim.kill(turn == 3 ? SIGKILL : SIGCONT)
      }
      #expect(await eventually { mount.volume.reads == 7 })
      mount.volume.endStall()
      #expect(try await mount.join(reader) == .success(mount.bytes))
      #expect(mount.volume.badReads == 0)
      #expect(await eventually { mount.underWay == 0 })
    }
  }

  @Test("a revoked window is acknowledged, and its handles' reads are asked for") @DispatchLoop
  func revoked() async throws {
    try await mounted { mount in
      #expect(try await mount.read() == .success(mount.bytes))
      let lease = try #require(mount.volume.windows[mount.node])
      var isDone = false
      mount.host.revoke(lease) { isDone = true }
      lease.put(0, frame: 9, generation: 99, isWhole: true)
      #expect(await eventually { isDone && mount.host.figures?.leases == 0 })
      #expect(throws: LeaseRefusal.invalid) { try mount.host.grantWindow(node: mount.node, length: -1) }
    }
  }

  @Test("a mount without a window grants none") @DispatchLoop
  func none() throws {
    let scratch = try Scratch()
    defer { scratch.clear() }
    let host = scratch.host(FakeVolume(folder: scratch.backing), shim: "")
    #expect(throws: LeaseRefusal.noWindow) { try host.grantWindow(node: NodeID(1), length: 1) }
    #expect(throws: LeaseRefusal.notMounted) { try host.grantLease(node: NodeID(1), root: 0, name: "a", length: 1) }
    #expect(host.windowUses.lastUse(ofFrame: 0) == 0)
  }

  @Test("the next control plane has the same memory and the windows that stand, empty; handles read on")
  @DispatchLoop func adoption() async throws {
    let scratch = try Scratch()
    defer { scratch.clear() }
    let first = FakeVolume(folder: scratch.backing)
    let bytes = pattern(600_001)
    let path = scratch.mountpoint + "/a"
    var identity = stat()
    let pids: [Int32]
    let descriptor: Int32
    do {
      let window = FakeWindow(OwnedDescriptor(try WindowFile.make().get()))
      #expect(fstat(window.descriptor.number, &identity) == 0)
      let dead = try host(scratch, first, window.descriptor)
      try await dead.start()
      await first.warmUp(scratch.mountpoint)
      first.window = window
      first.add("a", bytes)
      #expect(await eventually { dead.shims.contains { $0.identity == dead.region?.standby } })
      let opening = HangingCall { () -> Int32 in
        let number = clinux_open(path, O_RDONLY, 0)
        var part = [UInt8](repeating: 0, count: 1000)
        return pread(number, &part, part.count, 300_000) == 1000 ? number : -1
      }
      descriptor = try #require(await Task.detached { opening.join() }.value)
      #expect(descriptor >= 0)
      pids = dead.shims.map(\.pid)
      dead.leaveBehind()
    }
    let survivor = try #require(try Survivor.find(in: scratch.runtime).get())
    let memory = OwnedDescriptor(try #require(survivor.windowRoot()))
    var same = stat()
    #expect(fstat(memory.number, &same) == 0 && same.st_ino == identity.st_ino && same.st_dev == identity.st_dev)
    let second = FakeVolume(folder: scratch.backing)
    second.add("a", bytes)
    let host = try host(scratch, second, memory)
    do {
      try await host.start(adopting: survivor)
      #expect(Set(host.shims.map(\.pid)) == Set(pids))
      let lease = try #require(second.windows[NodeID(101)])
      let inherited = try #require(lease as? any InheritedWindow)
      #expect(
        inherited.length == 600_001 && second.windows.count == 1 && second.open.count == 1
          && second.windowGeneration >= 1)
      second.window = FakeWindow(memory, above: second.windowGeneration, first: 50)
      var isForgotten = false
      host.invalidatePages(of: NodeID(101)) { isForgotten = true }
      #expect(await eventually { isForgotten })
      let number = descriptor
      let reading = HangingCall { FileManager.read("/proc/self/fd/\(number)") }
      #expect(await Task.detached { reading.join() }.value == .success(bytes))
      #expect(second.reads > 0 && second.badReads == 0)
      // A shim that is started now has the window too.
      try await host.killShim()
      let reads = second.reads
      host.invalidatePages(of: NodeID(101)) {}
      #expect(await eventually { host.link.unacknowledged == 0 })
      let again = HangingCall { FileManager.read("/proc/self/fd/\(number)") }
      #expect(await Task.detached { again.join() }.value == .success(bytes))
      #expect(second.reads == reads && host.figures?.hostile == 0)
      close(number)
      #expect(await eventually { second.open.isEmpty })
    } catch {
      close(descriptor)
      await host.stop()
      throw error
    }
    await host.stop()
  }
}
