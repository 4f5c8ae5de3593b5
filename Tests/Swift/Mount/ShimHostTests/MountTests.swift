import CLinux
import Core
import EventLoop
import Glibc
import Testing
import Volume
import Wire

@testable import ShimHost

/// Real mounts, with the shim that `make shim` builds.
@Suite(.serialized) struct MountTests {
  init() { EventLoop.start() }

  private func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) } }

  @DispatchLoop
  private func mounted(_ body: @DispatchLoop (Scratch, FakeVolume, ShimHost) async throws -> Void) async throws {
    let scratch = try Scratch()
    defer { scratch.clear() }
    let volume = FakeVolume(folder: scratch.backing)
    let host = scratch.host(volume, shim: try Scratch.shim())
    try await host.start()
    await volume.warmUp(scratch.mountpoint)
    do {
      try await body(scratch, volume, host)
    } catch {
      await host.stop()
      throw error
    }
    await host.stop()
    #expect(!MountTable.current().isMounted(scratch.mountpoint))
    #expect(host.process?.isRunning == false)
    #expect(access(scratch.runtime + "/shim.sock", F_OK) != 0)
    #expect(volume.open.isEmpty && volume.miscounts == 0, "each open is released once")
    #expect(volume.opens == volume.releases.count)
  }

  /// File calls on our own mount are never made on the loop that answers them.
  private func away<T: Sendable>(_ body: @escaping @Sendable () -> T) async throws -> T {
    let call = HangingCall(body)
    return try #require(await Task.detached { call.join() }.value)
  }

  @Test("a started volume lists, stats and reads; a stop leaves nothing")
  func lifeCycle() async throws {
    try await mounted { scratch, volume, host in
      let bytes = pattern(3 * 65536 + 17)
      volume.add("movie.mp4", bytes)
      volume.add("empty", [])
      host.invalidateAttributes(directories: [.root], files: []) {}
      let mountpoint = scratch.mountpoint
      #expect(try await away { FileManager.list(mountpoint).sorted() } == [".", "..", "empty", "movie.mp4"])
      #expect(try await away { FileManager.read(mountpoint + "/movie.mp4") } == .success(bytes))
      #expect(try await away { FileManager.read(mountpoint + "/empty") } == .success([]))
      let status = try await away {
        var status = stat()
        _ = stat(mountpoint + "/movie.mp4", &status)
        return (
          status.st_size, status.st_mode, status.st_uid, status.st_nlink, Int(status.st_mtim.tv_sec), status.st_ino
        )
      }
      #expect(status.0 == bytes.count && status.1 == S_IFREG | 0o644 && status.2 == geteuid() && status.3 == 1)
      #expect(status.4 == 1_700_000_000 && status.5 == 101)
      #expect(try await away { access(mountpoint + "/nobody", F_OK) == -1 && errno == ENOENT })
      #expect(try await away { FileManager.read(mountpoint + "/movie.mp4") } == .success(bytes))

      #expect(await eventually { volume.releases.count == 3 })
      #expect(volume.releases.map(\.bytes).contains(Int64(bytes.count)))
      host.region.map { HandleRows(region: $0) }?.forEachReleased {
        Issue.record("row \($0.handle) was not given back")
      }
      let figures = try #require(host.figures)
      #expect(figures.pid == host.process?.pid && figures.epoch == 1 && figures.restarts == 0 && figures.hostile == 0)
      #expect(figures.openHandles == 0 && figures.inHand == 0 && figures.leases == 1 && figures.counters.forwarded > 0)
      let trace = host.trace()
      for segment in ["submit", "pickup", "complete", "reply", "total"] {
        #expect(trace["lookup"]?[segment]?.count ?? 0 > 0, "\(segment)")
      }
      #expect(trace["read"]?["complete"]?.count ?? 0 > 0)
      let entry = try #require(MountTable.current().top(at: scratch.mountpoint))
      #expect(entry.type == "fuse.fsmvp" && entry.source == scratch.fsname && entry.minor == host.connection)
    }
  }

  @Test("a stop answers blocked readers with EIO before their file is detached")
  func blockedReaders() async throws {
    try await mounted { scratch, volume, host in
      for index in 0..<4 { volume.add("f\(index)", pattern(200_000)) }
      volume.isStalled = true
      let mountpoint = scratch.mountpoint
      let readers = (0..<4).map { index in HangingCall { FileManager.read(mountpoint + "/f\(index)") } }
      #expect(await eventually { volume.reads >= 4 })
      await host.stop()
      for reader in readers { #expect(await Task.detached { reader.join() }.value == .failure(.io)) }
      // Bytes that come after the end go nowhere, and do no harm.
      volume.endStall()
    }
  }

  @Test("a file that stays open, and a shell that stands in the mount, do not hold up a stop")
  func busy() async throws {
    try await mounted { scratch, volume, host in
      volume.add("a", pattern(100))
      let path = scratch.mountpoint + "/a"
      let descriptor = try await away { clinux_open(path, O_RDONLY, 0) }
      #expect(descriptor >= 0)
      await host.stop()
      #expect(!MountTable.current().isMounted(scratch.mountpoint))
      close(descriptor)
    }
  }

  @Test("a name added and removed is right at once for ls and open")
  func invalidation() async throws {
    try await mounted { scratch, volume, host in
      let mountpoint = scratch.mountpoint
      for turn in 0..<5 {
        volume.add("new\(turn)", pattern(10))
        host.invalidateAttributes(directories: [.root], files: []) {}
        #expect(await eventually { host.link.unacknowledged == 0 })
        #expect(try await away { FileManager.list(mountpoint).filter { $0 != "." && $0 != ".." } } == ["new\(turn)"])
        #expect(try await away { FileManager.read(mountpoint + "/new\(turn)") } == .success(pattern(10)))
        let node = try #require(volume.files.first?.node)
        volume.remove("new\(turn)")
        host.invalidateAttributes(directories: [.root], files: [node]) {}
        #expect(await eventually { host.link.unacknowledged == 0 })
        #expect(try await away { access(mountpoint + "/new\(turn)", F_OK) == -1 && errno == ENOENT })
      }
    }
  }

  @Test("a revoked lease and dropped pages are acknowledged, and the row is free again")
  func revoke() async throws {
    try await mounted { scratch, volume, host in
      let node = volume.add("a", pattern(70_000))
      let path = scratch.mountpoint + "/a"
      #expect(try await away { FileManager.read(path) } == .success(pattern(70_000)))
      #expect(await eventually { volume.open.isEmpty })
      let lease = try #require(volume.lease(of: node))
      var order: [String] = []
      host.revoke(lease) { order.append("revoked") }
      host.invalidatePages(of: node) { order.append("pages") }
      #expect(host.figures?.leases == 1)
      #expect(await eventually { order.count == 2 })
      #expect(host.figures?.leases == 0)
      // Read again, through another lease, from its bytes.
      #expect(try await away { FileManager.read(path) } == .success(pattern(70_000)))
      #expect(volume.miscounts == 0)
    }
  }

  @Test(
    "20,000 requests one after the other, each rung for while the one before is being answered: none waits for a bell that was lost"
  )
  func bells() async throws {
    try await mounted { scratch, _, host in
      let path = scratch.mountpoint + "/nobody"
      let calls = HangingCall { (0..<20_000).filter { _ in access(path, F_OK) != 0 && errno == ENOENT }.count }
      // Progress is what is waited for, not an end within a time.
      var seen: UInt64 = 0
      var idle = 0
      while seen < 20_000, idle < 400 {
        try await Task.sleep(for: .milliseconds(10))
        let now = host.trace()["lookup"]?["complete"]?.count ?? 0
        idle = now == seen ? idle + 1 : 0
        seen = now
      }
      #expect(seen >= 20_000)
      // Also frees a caller that hangs.
      if seen < 20_000 { await host.stop() }
      #expect(await Task.detached { calls.join() }.value == 20_000)
    }
  }

  @Test("a listing of thousands of entries has each of them once")
  func longListing() async throws {
    try await mounted { scratch, volume, host in
      let names = (0..<3000).map { "entry-\($0)-" + String(repeating: "x", count: $0 % 200) }
      for name in names { volume.add(name, []) }
      let mountpoint = scratch.mountpoint
      let listed = try await away { FileManager.list(mountpoint) }
      let missing = Set(names + [".", ".."]).subtracting(listed)
      #expect(missing.isEmpty)
      #expect(listed.count == 3002)
    }
  }

  @Test("a stop right after the shim was killed takes the mount away, blocked readers and all")
  func killed() async throws {
    try await mounted { scratch, volume, host in
      volume.add("a", pattern(100))
      volume.isStalled = true
      let path = scratch.mountpoint + "/a"
      let reader = HangingCall { FileManager.read(path) }
      #expect(await eventually { volume.reads >= 1 })
      host.process?.kill(SIGKILL)
      #expect(await eventually { host.process?.isRunning == false || host.figures?.epoch == 2 })
      await host.stop()
      #expect(await Task.detached { reader.join() }.value != .success(pattern(100)))
    }
  }

  @Test("shims handed over, killed and stopped one after another are not noticed by who reads")
  func replaced() async throws {
    try await mounted { scratch, volume, host in
      let bytes = pattern(3_000_000)
      volume.add("a", bytes)
      let path = scratch.mountpoint + "/a"
      let isOver = Flag()
      let reader = HangingCall { () -> (turns: Int, failures: Int) in
        var result = (turns: 0, failures: 0)
        while !isOver.value {
          result.turns += 1
          if FileManager.read(path) != .success(bytes) { result.failures += 1 }
        }
        return result
      }
      for turn in 0..<30 {
        if turn % 3 == 0 { try await host.restartShim() } else { try await host.killShim() }
      }
      isOver.set()
      let result = try #require(await Task.detached { reader.join() }.value)
      #expect(result.turns > 0 && result.failures == 0)
      #expect(host.figures?.epoch == 31 && host.figures?.hostile == 0 && host.supervision?.crashes == 0)
      #expect(host.figures?.lastOutageMilliseconds ?? 0 > 0)
      #expect(await eventually { volume.open.isEmpty })
    }
  }

  @Test("a second signal's abandon takes the path away at once")
  func abandon() async throws {
    try await mounted { scratch, volume, host in
      host.abandon()
      #expect(!MountTable.current().isMounted(scratch.mountpoint))
    }
  }

  // MARK: Dead mounts at the start

  @Test("a dead mount of an earlier run is taken away, and mounted over, also where it stood elsewhere")
  func stale() async throws {
    for isElsewhere in [false, true] {
      try await mounted { scratch, _, first in
        // The state after a control plane died with its shims: no process holds the device or the socket any more.
        first.leaveBehind()
        for shim in first.shims { shim.kill(SIGKILL) }
        #expect(await eventually { first.shims.isEmpty })
        #expect(await eventually { Mountpoint.probe(scratch.mountpoint) == .dead })
        let volume = FakeVolume(folder: scratch.backing)
        var options = scratch.host(volume, shim: try Scratch.shim()).options
        if isElsewhere { options.mountpoint = scratch.path + "/mnt2" }
        let second = ShimHost(options: options, volume: volume)
        mkdir(scratch.path + "/mnt2", 0o755)
        defer { rmdir(scratch.path + "/mnt2") }
        try await second.start()
        #expect(
          MountTable.current().entries.filter { $0.mountpoint == scratch.mountpoint }.count == (isElsewhere ? 0 : 1))
        await second.stop()
      }
    }
  }

  @Test("a dead mount of another FuseStream is refused by its name, and stays")
  func staleOfAnother() async throws {
    try await mounted { scratch, _, first in
      first.leaveBehind()
      for shim in first.shims { shim.kill(SIGKILL) }
      #expect(await eventually { Mountpoint.probe(scratch.mountpoint) == .dead })
      var options = scratch.host(FakeVolume(folder: scratch.backing), shim: try Scratch.shim()).options
      options.fsname = "fsmvp-other"
      let second = ShimHost(options: options, volume: FakeVolume(folder: scratch.backing))
      let fault = MountpointFault.deadMount(of: scratch.fsname, at: scratch.mountpoint)
      await #expect(throws: ShimHostError.mountpoint(scratch.mountpoint, fault)) { try await second.start() }
      #expect(MountTable.current().isMounted(scratch.mountpoint))
      #expect(umount2(scratch.mountpoint, 2) == 0)
      unlink(scratch.runtime + "/shim.sock")
    }
  }

  @Test("a mount of another living FuseStream is refused, and goes on unharmed")
  func foreignInstance() async throws {
    try await mounted { scratch, volume, _ in
      volume.add("a", [7])
      var options = scratch.host(volume, shim: "").options
      options.runtimeFolder = scratch.path
      options.shimPath = try Scratch.shim()
      let other = ShimHost(options: options, volume: FakeVolume(folder: scratch.backing))
      await #expect(throws: ShimHostError.mountpoint(scratch.mountpoint, .ours)) { try await other.start() }
      let path = scratch.mountpoint + "/a"
      #expect(try await away { FileManager.read(path) } == .success([7]))
    }
  }
}
