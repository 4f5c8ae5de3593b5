import Core
import EventLoop
import Glibc
import Testing
import Wire

@testable import ShimHost

/// What the control plane makes of a process that is no shim, or a broken one. Nothing of it may hang, crash or stay mounted.
@Suite struct ImpostorTests {
  init() { EventLoop.start() }

  @DispatchLoop
  private func refusal(_ behaviour: String, limit: Duration = .seconds(15)) async throws -> ShimHostError? {
    let scratch = try Scratch()
    defer { scratch.clear() }
    let volume = FakeVolume(folder: scratch.backing)
    var options = scratch.host(volume, shim: try FakeShim.make(behaviour, in: scratch)).options
    options.startLimit = limit
    let host = ShimHost(options: options, volume: volume)
    var refused: ShimHostError?
    do throws(ShimHostError) { try await host.start() } catch { refused = error }
    await host.stop()
    #expect(host.process?.isRunning != true)
    #expect(!MountTable.current().isMounted(scratch.mountpoint))
    #expect(access(scratch.runtime + "/shim.sock", F_OK) != 0)
    if let refused { #expect(!refused.description.contains("\n")) }
    return refused
  }

  @Test(
    "a shim that ends before it says anything shows by its end, not by a deadline", arguments: ["sys.exit(3)", "accept(); sys.exit(3)"])
  func earlyEnd(behaviour: String) async throws { #expect(try await refusal(behaviour) == .ended(.exited(3))) }

  @Test("a shim killed before the hello is reported with its signal")
  func earlyKill() async throws { #expect(try await refusal("os.kill(os.getpid(), 9)") == .ended(.signalled(9))) }

  @Test("a shim that says nothing is waited for as long as was said")
  func silence() async throws {
    #expect(try await refusal("accept(); time.sleep(60)", limit: .milliseconds(1500)) == .hello(.noAnswer(Errno(ETIMEDOUT))))
  }

  @Test("the sentence of a shim that could not mount is the error")
  func sentence() async throws {
    let answer = try await refusal("accept(); say(hello(status=13, message=b'/dev/fuse may not be opened')); time.sleep(60)")
    #expect(answer == .refused("/dev/fuse may not be opened"))
  }

  @Test("a wrong magic number, another ABI, too few descriptors and half a hello are refused by name")
  func hello() async throws {
    #expect(try await refusal("accept(); say(hello(magic=1), fds()); time.sleep(60)") == .hello(.notOurs))
    #expect(try await refusal("accept(); say(hello(abi=7), fds()); time.sleep(60)") == .hello(.otherABI(7)))
    #expect(try await refusal("accept(); say(hello(), fds()[:3]); time.sleep(60)") == .hello(.missingDescriptors(3)))
    #expect(try await refusal("accept(); say(hello(), []); time.sleep(60)") == .hello(.missingDescriptors(0)))
    #expect(try await refusal("accept(); say(hello()[:200]); connection.close(); time.sleep(60)") == .hello(.noAnswer(Errno(EPIPE))))
  }

  @Test("a hello in another process's name is not the shim's")
  func impostor() async throws {
    #expect(try await refusal("accept(); say(hello(who=1), fds()); time.sleep(60)") == .impostor(1))
    #expect(try await refusal("accept(); say(hello(who=me(os.getppid())), fds()); time.sleep(60)") == .impostor(getpid()))
    guard case .impostor = try await refusal("accept(); say(hello(who=me() ^ 1 << 40), fds()); time.sleep(60)") else {
      Issue.record("another start time was taken for the same process")
      return
    }
  }

  @Test("a region unsealed, short, or with sections out of place is refused by name")
  func region() async throws {
    #expect(try await refusal("accept(); say(hello(), fds(seals=0)); time.sleep(60)") == .region(.notSealed))
    #expect(try await refusal("accept(); say(hello(), fds(seals=2)); time.sleep(60)") == .region(.notSealed))
    #expect(try await refusal("accept(); say(hello(), fds(size=100)); time.sleep(60)") == .region(.notOurs))
    #expect(try await refusal("accept(); say(hello(), fds(size=8192)); time.sleep(60)") == .region(.badSections))
    let shifted = "HEADER[:240] + struct.pack('<Q', SIZE - 4096) + HEADER[248:]"
    #expect(try await refusal("accept(); say(hello(), fds(header=\(shifted))); time.sleep(60)") == .region(.badSections))
    #expect(try await refusal("accept(); say(hello(), fds(header=bytes(4096))); time.sleep(60)") == .region(.notOurs))
  }

  @Test("a descriptor that is no device, and doorbells that would make us wait, are refused by name")
  func descriptors() async throws {
    #expect(
      try await refusal("accept(); say(hello(), fds(device='/tmp/.' if False else sys.argv[0])); time.sleep(60)")
        == .badDescriptor("/dev/fuse"))
    #expect(try await refusal("accept(); say(hello(), fds(flags=0)); time.sleep(60)") == .badDescriptor("a doorbell"))
  }

  @Test("a shim that says it has mounted and has not is refused")
  func notMounted() async throws {
    guard case .notMounted = try await refusal("accept(); say(hello(), fds()); time.sleep(60)", limit: .milliseconds(1500)) else {
      Issue.record("a mount that is not there was believed in")
      return
    }
  }

  @Test("a shim that mounted, and then fails the start, leaves no mount")
  func mountedAndWrong() async throws {
    let behaviour = """
      descriptors = fds(seals=0)
      mount(descriptors[0], arguments["--mountpoint"], arguments["--fsname"].encode())
      accept(); say(hello(), descriptors); time.sleep(60)
      """
    #expect(try await refusal(behaviour) == .region(.notSealed))
  }

  @Test("no program, and one that cannot be run, are told with their path")
  func noProgram() async throws {
    let scratch = try Scratch()
    defer { scratch.clear() }
    FileManager.write([1], to: scratch.path + "/run/no-program")
    for path in ["/nowhere/fsmvp-shim", scratch.path + "/run/no-program"] {
      let host = await scratch.host(FakeVolume(folder: scratch.backing), shim: path)
      do {
        try await host.start()
        Issue.record("\(path) was started")
      } catch {
        guard case .notStarted(path, _) = error else {
          Issue.record("\(error)")
          continue
        }
      }
    }
  }

  @Test("a runtime path too long for a socket is refused before anything is started")
  func longPath() async throws {
    let scratch = try Scratch()
    defer { scratch.clear() }
    let volume = FakeVolume(folder: scratch.backing)
    var options = await scratch.host(volume, shim: "/bin/true").options
    options.runtimeFolder = "/tmp/" + String(repeating: "x", count: 100)
    let host = await ShimHost(options: options, volume: volume)
    await #expect(throws: ShimHostError.runtimePathTooLong(options.runtimeFolder + "/shim.sock")) { try await host.start() }
  }

  @Test("garbage on the link before the mount is seen fails the start")
  func garbageAtOnce() async throws {
    guard case .refused(let sentence) = try await refusal("accept(); say(hello() + b'\\xff' * 64, fds()); time.sleep(60)") else {
      Issue.record("a mount was believed in")
      return
    }
    #expect(sentence.contains("not trusted"))
  }

  @Test("a stop in the middle of a start ends both, and leaves nothing") @DispatchLoop
  func stopWhileStarting() async throws {
    for patience in [0, 1, 5, 20, 100, 400] {
      let scratch = try Scratch()
      defer { scratch.clear() }
      let host = scratch.host(FakeVolume(folder: scratch.backing), shim: try FakeShim.make("accept(); time.sleep(60)", in: scratch))
      let start = Task { @DispatchLoop in try await host.start() }
      try await Task.sleep(for: .milliseconds(patience))
      if host.phase == .idle { continue }
      let began = SystemClock().now()
      await host.stop()
      #expect(SystemClock().now() - began < .seconds(8))
      await #expect(throws: ShimHostError.self) { try await start.value }
      #expect(host.phase == .ended)
      #expect(host.process?.isRunning != true)
      #expect(access(scratch.runtime + "/shim.sock", F_OK) != 0)
    }
  }

  /// A mount that a fake shim makes and then breaks the protocol of.
  @DispatchLoop
  private func brokenLater(_ afterwards: String) async throws -> (String, UInt64) {
    let scratch = try Scratch()
    defer { scratch.clear() }
    let behaviour = """
      descriptors = fds()
      mount(descriptors[0], arguments["--mountpoint"], arguments["--fsname"].encode())
      accept(); say(hello(), descriptors)
      while not os.path.exists(os.path.dirname(sys.argv[0]) + "/go"):
        time.sleep(0.005)
      \(afterwards)
      time.sleep(60)
      """
    let host = scratch.host(FakeVolume(folder: scratch.backing), shim: try FakeShim.make(behaviour, in: scratch))
    var reports: [String] = []
    host.onShimEnd = { reports.append($0) }
    try await host.start()
    FileManager.write([], to: scratch.runtime + "/go")
    _ = await eventually { !reports.isEmpty }
    let hostile = host.figures?.hostile ?? 0
    await host.stop()
    #expect(reports.count == 1)
    #expect(host.process?.isRunning == false)
    #expect(!MountTable.current().isMounted(scratch.mountpoint))
    return (reports.first ?? "", hostile)
  }

  @Test("garbage on the link ends the trust in a shim: it is ended and reported, the mount taken down")
  func garbage() async throws {
    for bytes in ["b'\\xff' * 64", "frame(3)", "frame(2, 0, b'x')", "struct.pack('<IIQ', 5000, 2, 0)"] {
      let (report, hostile) = try await brokenLater("say(\(bytes))")
      #expect(report.contains("not trusted"), "\(bytes)")
      #expect(hostile == 1, "\(bytes)")
    }
  }

  @Test("log lines and acknowledgements of nothing do no harm; a closed link without an end does")
  func closedLink() async throws {
    let (report, hostile) = try await brokenLater(
      "say(frame(2, 0, struct.pack('<I', 1) + b'a line') + frame(1, 77)); connection.shutdown(2); connection.close()")
    #expect(report.contains("closed its link"))
    #expect(hostile == 1)
  }

  @Test("a ring full of nonsense is answered EIO, counted, and stops nothing")
  func nonsense() async throws {
    let scratch = try Scratch()
    defer { scratch.clear() }
    let behaviour = """
      import mmap
      descriptors = fds()
      mount(descriptors[0], arguments["--mountpoint"], arguments["--fsname"].encode())
      region = mmap.mmap(descriptors[1], SIZE)
      region[88:96] = b'\\xff' * 8
      words = struct.unpack_from("<Q", HEADER, 224 + 16)[0]
      slots = struct.unpack_from("<Q", HEADER, 224 + 32)[0]
      handles = struct.unpack_from("<Q", HEADER, 224 + 64)[0]
      for index in range(4096):
        region[slots + index * 512:slots + index * 512 + 512] = os.urandom(512)
        region[slots + index * 512:slots + index * 512 + 4] = struct.pack("<I", index % 7)
        region[words + index * 8:words + index * 8 + 8] = struct.pack("<II", index % 11, index)
      region[handles:handles + 128 * 4096] = os.urandom(128 * 4096)
      region[80] = 1
      accept(); say(hello(), descriptors)
      os.eventfd_write(descriptors[3], 1)
      time.sleep(60)
      """
    let volume = FakeVolume(folder: scratch.backing)
    let host = await scratch.host(volume, shim: try FakeShim.make(behaviour, in: scratch))
    try await host.start()
    #expect(await host.figures?.hostile ?? 0 > 100)
    #expect(await host.figures?.inHand == 0)
    #expect(await volume.open.isEmpty)
    await host.stop()
    #expect(!MountTable.current().isMounted(scratch.mountpoint))
  }
}
