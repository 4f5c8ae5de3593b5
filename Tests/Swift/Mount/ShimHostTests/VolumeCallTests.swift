import CLinux
import CWire
import Core
import EventLoop
import Glibc
import Support
import Testing
import Volume

@testable import ShimHost
@testable import Wire

/// A volume answers the kernel's questions when it likes, and gives the kernel orders; with real shims.
@Suite(.serialized) struct VolumeCallTests {
  init() { EventLoop.start() }

  private func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) } }

  private func away<T: Sendable>(_ body: @escaping @Sendable () -> T) async throws -> T {
    let call = HangingCall(body)
    return try #require(await Task.detached { call.join() }.value)
  }

  @DispatchLoop
  private func mounted(
    _ change: (inout ShimHost.Options) -> Void = { _ in },
    _ body: @DispatchLoop (Scratch, FakeVolume, ShimHost) async throws -> Void
  ) async throws {
    let scratch = try Scratch()
    defer { scratch.clear() }
    let volume = FakeVolume(folder: scratch.backing)
    var options = scratch.host(volume, shim: try Scratch.shim()).options
    change(&options)
    let host = ShimHost(options: options, volume: volume)
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
  }

  // MARK: Late answers

  @Test("a lookup and a listing are answered late, from another thread, whichever shims died meanwhile")
  @DispatchLoop func late() async throws {
    try await mounted { scratch, volume, host in
      volume.add("a", pattern(10))
      volume.isLate = true
      let mountpoint = scratch.mountpoint
      let lookup = HangingCall { FileManager.read(mountpoint + "/a") }
      #expect(await eventually { volume.late.count == 1 })
      let listing = HangingCall { FileManager.list(mountpoint).sorted() }
      #expect(await eventually { volume.late.count == 2 })
      for _ in 0..<2 { try await host.killShim() }
      #expect(volume.late.count == 2 && host.figures?.inHand == 2)
      volume.endLateness()
      #expect(await Task.detached { lookup.join() }.value == .success(pattern(10)))
      #expect(await Task.detached { listing.join() }.value == [".", "..", "a"])
    }
  }

  @Test("a caller that is killed while it waits for a name is let go, and the late answer harms nobody")
  @DispatchLoop func cancelled() async throws {
    try await mounted { scratch, volume, host in
      volume.add("a", pattern(10))
      volume.isLate = true
      let path = scratch.mountpoint + "/a"
      let child = Child.spawn("/bin/cat", [path], output: 1, errors: 2)
      #expect(await eventually { volume.late.count == 1 })
      kill(child, SIGKILL)
      let code = try await away { Child.wait(child) }
      #expect(code == 128 + SIGKILL)
      #expect(await eventually { host.figures?.inHand == 0 && host.figures?.counters.cancelled == 1 })
      volume.endLateness()
      #expect(try await away { FileManager.read(path) } == .success(pattern(10)))
      #expect(host.figures?.hostile == 0)
    }
  }

  @Test("a stop answers callers that wait for a name, and what the volume says after that is dropped")
  @DispatchLoop func stopped() async throws {
    let waiting = Waiting()
    try await mounted { scratch, volume, host in
      volume.add("a", pattern(10))
      volume.isLate = true
      let path = scratch.mountpoint + "/a"
      waiting.call = HangingCall { access(path, F_OK) }
      waiting.volume = volume
      #expect(await eventually { volume.late.count == 1 })
    }
    let call = try #require(waiting.call)
    #expect(await Task.detached { call.join() }.value == -1)
    waiting.volume?.endLateness()
    await Task { @TransferLoop in }.value
  }

  // MARK: Orders to the kernel

  /// Files that the kernel knows go away; the rest of the nodes is known to nobody.
  @DispatchLoop
  private func forget(_ count: Int, _ scratch: Scratch, _ volume: FakeVolume, _ host: ShimHost) async throws {
    let names = (0..<40).map { "file \($0)" }
    let nodes = names.map { volume.add($0, pattern(10)) }
    let mountpoint = scratch.mountpoint
    var isKnown = false
    host.invalidateAttributes(directories: [.root], files: []) { isKnown = true }
    #expect(await eventually { isKnown })
    #expect(try await away { names.filter { access(mountpoint + "/" + $0, F_OK) == 0 }.count } == 40)
    for name in names { volume.remove(name) }
    var isDone = false
    let others = (0..<UInt64(count - 40)).map { NodeID(1 << 30 + $0) }
    host.invalidateAttributes(directories: [.root], files: nodes + others) { isDone = true }
    #expect(await eventually { isDone })
    #expect(try await away { names.filter { access(mountpoint + "/" + $0, F_OK) != 0 && errno == ENOENT }.count } == 40)
    #expect(host.link.unacknowledged == 0 && host.figures?.hostile == 0)
  }

  @Test("2,000 nodes are forgotten by four orders, and more than 10,000 files by three, where the kernel can")
  @DispatchLoop func batches() async throws {
    try await mounted { scratch, volume, host in
      let region = try #require(host.region)
      try await forget(2000, scratch, volume, host)
      try await forget(10_001, scratch, volume, host)
      let minor = region.kernelMinor
      #expect(region.lacksEpochs == (minor < 44))
      // Again, by a kernel that cannot, for all the shim knows.
      fsmvp_store_release32(region.header.half(HeaderField.epochs), FSMVP_EPOCHS_LACKING.rawValue)
      try await forget(10_001, scratch, volume, host)
    }
  }

  @Test("orders for many nodes survive the shim that was told them") @DispatchLoop
  func batchAndDeath() async throws {
    try await mounted { scratch, volume, host in
      let node = volume.add("a", pattern(10))
      let path = scratch.mountpoint + "/a"
      #expect(try await away { access(path, F_OK) } == 0)
      #expect(await eventually { host.shims.contains { $0.identity == host.region?.standby } })
      let pid = try #require(host.process?.pid)
      #expect(await stop(pid))
      volume.remove("a")
      var done = 0
      host.invalidateAttributes(directories: [.root], files: [node] + (0..<3000).map { NodeID(1 << 30 + $0) }) {
        done += 1
      }
      host.invalidateAttributes(directories: [], files: (0..<20_000).map { NodeID(1 << 30 + $0) }) { done += 1 }
      kill(pid, SIGKILL)
      #expect(await eventually { done == 2 && host.figures?.epoch == 2 })
      #expect(try await away { access(path, F_OK) == -1 && errno == ENOENT })
    }
  }

  // MARK: Traits of a volume and of a mount

  @Test("pages are kept from one open to the next, or not, as the volume says", arguments: [true, false])
  @DispatchLoop func pages(areKept: Bool) async throws {
    try await mounted { scratch, volume, host in
      volume.keepsPages = areKept
      volume.add("a", pattern(100_000))
      let path = scratch.mountpoint + "/a"
      for _ in 0..<2 {
        #expect(try await away { FileManager.read(path) } == .success(pattern(100_000)))
        #expect(await eventually { volume.open.isEmpty })
      }
      let before = try #require(host.figures?.counters.leased)
      #expect(try await away { FileManager.read(path) } == .success(pattern(100_000)))
      let reads = try #require(host.figures?.counters.leased) - before
      #expect(areKept ? reads == 0 : reads >= 1)
    }
  }

  @Test(
    "another user reads a mount with allow_other, and none without", .enabled(if: geteuid() == 0),
    arguments: [true, false])
  @DispatchLoop func otherUsers(areAllowed: Bool) async throws {
    try await mounted {
      $0.allowOther = areAllowed
    } _: { scratch, volume, host in
      chmod(scratch.path, 0o755)
      volume.add("a", Array("hello".utf8))
      let path = scratch.mountpoint + "/a"
      let heard = try await away {
        shell("setpriv --reuid 65534 --regid 65534 --clear-groups cat '\(path)' 2>/dev/null").output
      }
      #expect(heard == (areAllowed ? "hello" : ""))
      let table = String(decoding: (try? FileManager.read("/proc/self/mountinfo").get()) ?? [], as: UTF8.self)
      let line = table.split(separator: "\n").first { $0.contains(" \(scratch.mountpoint) ") }
      #expect(line?.contains("allow_other") == areAllowed && line?.contains("default_permissions") == true)
      #expect(host.region?.allowsOther == areAllowed)
    }
  }
}

@DispatchLoop private final class Waiting {
  var call: HangingCall<Int32>?
  var volume: FakeVolume?
}

extension Region {
  /// The minor version in the FUSE_INIT that the shim saved.
  fileprivate var kernelMinor: UInt32 { header.load32(480 + 44) }
}
