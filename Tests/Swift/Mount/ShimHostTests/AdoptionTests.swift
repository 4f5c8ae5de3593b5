import CLinux
import CWire
import Core
import EventLoop
import Glibc
import Testing
import Volume

@testable import ShimHost
@testable import Wire

/// A control plane that takes up the mount of one that died; with real shims. The dead one is a host in this process
/// that has let go of everything.
@Suite(.serialized) struct AdoptionTests {
  init() { EventLoop.start() }

  private func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) } }

  private func away<T: Sendable>(_ body: @escaping @Sendable () -> T) async throws -> T {
    let call = HangingCall(body)
    return try #require(await Task.detached { call.join() }.value)
  }

  private func find(_ scratch: Scratch) throws -> Survivor {
    try #require(try Survivor.find(in: scratch.runtime).get())
  }

  /// A mount whose control plane is gone, with `a` in it, and the volume of the next one, which has the same files.
  @DispatchLoop
  private func leftBehind(
    _ before: @DispatchLoop (Scratch, FakeVolume, ShimHost) async throws -> Void = { _, _, _ in },
    _ body: @DispatchLoop (Scratch, FakeVolume, ShimHost) async throws -> Void
  ) async throws {
    let scratch = try Scratch()
    defer { scratch.clear() }
    let first = FakeVolume(folder: scratch.backing)
    let dead = scratch.host(first, shim: try Scratch.shim())
    try await dead.start()
    await first.warmUp(scratch.mountpoint)
    first.add("a", pattern(200_000))
    #expect(await eventually { dead.shims.contains { $0.identity == dead.region?.standby } })
    try await before(scratch, first, dead)
    let pids = dead.shims.map(\.pid)
    dead.leaveBehind()
    let second = FakeVolume(folder: scratch.backing)
    second.add("a", pattern(200_000))
    let host = scratch.host(second, shim: try Scratch.shim())
    do {
      try await body(scratch, second, host)
    } catch {
      await host.stop()
      throw error
    }
    await host.stop()
    #expect(host.shims.isEmpty && !MountTable.current().isMounted(scratch.mountpoint))
    #expect(access(scratch.runtime + "/shim.sock", F_OK) != 0)
    for pid in pids { #expect(await eventually { fsmvp_process_id(pid) == 0 }) }
    #expect(second.open.isEmpty && second.miscounts == 0)
  }

  @Test("both shims are adopted, what was open stays open and readable, and deaths are answered as before")
  @DispatchLoop func adopted() async throws {
    let descriptors = Descriptors()
    var pids: [Int32] = []
    try await leftBehind { scratch, volume, dead in
      let path = scratch.mountpoint + "/a"
      descriptors.number = try await away { clinux_open(path, O_RDONLY, 0) }
      #expect(descriptors.number >= 0)
      #expect(await eventually { volume.open.count == 1 })
      pids = dead.shims.map(\.pid)
    } _: { scratch, volume, host in
      let survivor = try find(scratch)
      #expect(survivor.root(at: scratch.backing) != nil && survivor.root(at: scratch.runtime) == nil)
      try await host.start(adopting: survivor)
      #expect(host.figures?.epoch == 1 && Set(host.shims.map(\.pid)) == Set(pids))
      #expect(
        volume.open.count == 1 && host.figures?.openHandles == 1
          && host.connection == MountTable.current().top(at: scratch.mountpoint)?.minor)
      #expect(host.region?.volume == 7 && host.region?.control == fsmvp_process_id(getpid()))
      let number = descriptors.number
      #expect(try await away { FileManager.read("/proc/self/fd/\(number)") } == .success(pattern(200_000)))
      #expect(await eventually { host.link.isOpen && host.link.unacknowledged == 0 })
      try await host.killShim()
      #expect(host.figures?.epoch == 2)
      let path = scratch.mountpoint + "/a"
      #expect(try await away { FileManager.read(path) } == .success(pattern(200_000)))
      close(number)
      #expect(await eventually { volume.open.isEmpty })
    }
  }

  @Test("a read that the dead one had taken is asked again and answered; an open that it had not answered counts once")
  @DispatchLoop func taken() async throws {
    let readers = Readers()
    try await leftBehind { scratch, volume, dead in
      volume.isStalled = true
      let path = scratch.mountpoint + "/a"
      readers.call = HangingCall { FileManager.read(path) }
      #expect(await eventually { volume.reads >= 1 })
    } _: { scratch, volume, host in
      try await host.start(adopting: try find(scratch))
      let call = try #require(readers.call)
      #expect(await Task.detached { call.join() }.value == .success(pattern(200_000)))
      #expect(volume.reads >= 1)
    }
  }

  @Test("a lookup and a listing that the dead one had not answered are asked again, and may be answered late again")
  @DispatchLoop func names() async throws {
    let callers = Callers()
    try await leftBehind { scratch, volume, dead in
      volume.isLate = true
      let mountpoint = scratch.mountpoint
      callers.lookup = HangingCall { access(mountpoint + "/a", F_OK) }
      #expect(await eventually { volume.late.count == 1 })
      callers.listing = HangingCall { FileManager.list(mountpoint).sorted() }
      #expect(await eventually { volume.late.count == 2 })
    } _: { scratch, volume, host in
      volume.isLate = true
      try await host.start(adopting: try find(scratch))
      #expect(await eventually { volume.late.count == 2 })
      // Its shim dies, too, while both wait.
      try await host.killShim()
      #expect(volume.late.count == 2, "its successor goes on with the same two")
      volume.endLateness()
      let (lookup, listing) = (try #require(callers.lookup), try #require(callers.listing))
      #expect(await Task.detached { lookup.join() }.value == 0)
      #expect(await Task.detached { listing.join() }.value == [".", "..", "a"])
      #expect(await eventually { host.figures?.inHand == 0 })
    }
  }

  @Test("leases that stand are handed to the volume with their marks; what it does not want is revoked")
  @DispatchLoop func leases() async throws {
    try await leftBehind { scratch, volume, dead in
      let path = scratch.mountpoint + "/a"
      let read = try await away { FileManager.read(path) }
      #expect(read == .success(pattern(200_000)))
    } _: { scratch, volume, host in
      volume.refusesLeases = true
      try await host.start(adopting: try find(scratch))
      let lease = try #require(volume.inherited.first)
      #expect(lease.node == NodeID(101) && lease.name == "101" && lease.length == 200_000 && lease.marked == [0..<4])
      #expect(await eventually { host.figures?.leases == 0 })
      let path = scratch.mountpoint + "/a"
      #expect(try await away { FileManager.read(path) } == .success(pattern(200_000)))
      #expect(await eventually { volume.open.isEmpty })
    }
  }

  @Test(
    "a mount table that cannot be read is no mount that is gone: the shims are left as they are, and adopted at the next start"
  )
  @DispatchLoop func unreadableMountTable() async throws {
    try await leftBehind { scratch, volume, host in
      let survivor = try find(scratch)
      #expect(throws: ShimHostError.mountTable(Errno(EMFILE))) {
        try survivor.mount(for: host.options, isReadOnly: true, table: .failure(Errno(EMFILE)))
      }
      try await host.start(adopting: survivor)
      #expect(host.figures?.epoch == 1 && host.figures?.restarts == 0)
    }
  }

  @Test("another mount point, volume or cache folder is another mount: the shims are ended, and it is made anew")
  @DispatchLoop func changed() async throws {
    for change in [{ $0.mountpoint += "2" }, { $0.volumeID = 8 }, { $0.roots = [] }, { $0.allowOther = true }]
      as [(inout ShimHost.Options) -> Void]
    {
      try await leftBehind { scratch, volume, plain in
        var options = plain.options
        change(&options)
        mkdir(scratch.path + "/mnt2", 0o755)
        defer { rmdir(scratch.path + "/mnt2") }
        let host = ShimHost(options: options, volume: volume)
        try await host.start(adopting: try find(scratch))
        #expect(host.figures?.epoch == 1 && host.figures?.restarts == 0)
        let old = scratch.mountpoint
        #expect(MountTable.current().isMounted(old) == (options.mountpoint == old))
        await host.stop()
      }
    }
  }

  @Test("a stop in the middle of an adoption ends the adopted shims too") @DispatchLoop
  func stopped() async throws {
    for milliseconds in [0, 1, 2, 5, 20] {
      try await leftBehind { scratch, volume, host in
        let survivor = try find(scratch)
        let start = Task { @DispatchLoop in try await host.start(adopting: survivor) }
        while host.isIdle { await Task.yield() }
        try await Task.sleep(for: .milliseconds(milliseconds))
        await host.stop()
        _ = try? await start.value
      }
    }
  }

  @Test("an active shim that dies while it is being adopted is replaced by the standby, which is adopted instead")
  @DispatchLoop func deathMeanwhile() async throws {
    try await leftBehind { scratch, volume, host in
      let survivor = try find(scratch)
      kill(Int32(truncatingIfNeeded: survivor.region.active & 0xffff_ffff), SIGKILL)
      try await host.start(adopting: survivor)
      #expect(await eventually { host.figures?.epoch == 2 && host.figures?.state == .serving && host.link.isOpen })
      let path = scratch.mountpoint + "/a"
      #expect(try await away { FileManager.read(path) } == .success(pattern(200_000)))
      #expect(await eventually { volume.open.isEmpty })
    }
  }

  @Test("while a living process is in control nothing is adopted, and its pid is told") @DispatchLoop
  func controlled() async throws {
    let sleeper = try ShimProcess("/bin/sleep", arguments: ["60"], descriptors: []) { _ in }
    try await leftBehind { scratch, volume, host in
      let region = try find(scratch).region
      fsmvp_store_release(region.header.word(HeaderField.control), sleeper.identity)
      #expect(throws: ShimHostError.controlled(sleeper.pid)) { try Survivor.find(in: scratch.runtime).get() }
      sleeper.kill(SIGKILL)
      #expect(await eventually { !sleeper.isRunning })
      try await host.start(adopting: try find(scratch))
      #expect(host.figures?.epoch == 1)
    }
  }

  @Test("replacing both shims in turn leaves none of the old ones, and every file open") @DispatchLoop
  func replaced() async throws {
    try await leftBehind { scratch, volume, host in
      try await host.start(adopting: try find(scratch))
      let path = scratch.mountpoint + "/a"
      let number = try await away { clinux_open(path, O_RDONLY, 0) }
      let old = host.shims.map(\.pid)
      try await host.replaceShims()
      #expect(await eventually { host.shims.count == 2 })
      #expect(Set(host.shims.map(\.pid)).isDisjoint(with: old) && host.figures?.epoch == 2)
      #expect(try await away { FileManager.read("/proc/self/fd/\(number)") } == .success(pattern(200_000)))
      close(number)
      #expect(await eventually { volume.open.isEmpty })
    }
  }

  @Test("nobody there is no survivor; a shim of another version is left as it is, with a sentence") @DispatchLoop
  func found() async throws {
    let scratch = try Scratch()
    defer { scratch.clear() }
    #expect(try Survivor.find(in: scratch.runtime).get() == nil)
    let listening = OwnedDescriptor(clinux_listen(scratch.runtime + "/shim.sock"))
    let answer = HangingCall { () -> Bool in
      var watched = pollfd(fd: listening.number, events: Int16(POLLIN), revents: 0)
      poll(&watched, 1, 5000)
      let connection = OwnedDescriptor(accept(listening.number, nil, nil))
      var hello = fsmvp_hello()
      guard fsmvp_receive(connection.number, &hello, 512, nil, nil, 1000) == 0 else { return false }
      hello.magic = wireMagic
      hello.abi = 99
      return fsmvp_send(connection.number, &hello, 512, nil, 0, 1000) == 0
    }
    let path = scratch.runtime + "/shim.sock"
    let runtime = scratch.runtime
    let error = ShimHostError.leftBehind(path, .otherABI(99))
    let found = try await away { Survivor.find(in: runtime).map { $0 != nil } }
    #expect(found == .failure(error) && error.description.contains("another version"))
    #expect(await Task.detached { answer.join() }.value == true)
  }
}

/// State of a test that goes on in another closure.
@DispatchLoop private final class Descriptors { var number: Int32 = -1 }
@DispatchLoop private final class Callers {
  var lookup: HangingCall<Int32>?
  var listing: HangingCall<[String]>?
}
@DispatchLoop private final class Readers { var call: HangingCall<Result<[UInt8], Errno>>? }
