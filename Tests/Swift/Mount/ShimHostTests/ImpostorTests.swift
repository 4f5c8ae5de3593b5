import Core
import EventLoop
import Glibc
import Testing
import Wire

@testable import ShimHost

/// The control plane against a process that is no shim, or a broken one: nothing may hang, crash or stay mounted.
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
    "a shim that ends before it says anything shows by its end, not by a deadline",
    arguments: ["sys.exit(3)", "accept(); sys.exit(3)"])
  func earlyEnd(behaviour: String) async throws { #expect(try await refusal(behaviour) == .ended(.exited(3))) }

  @Test("a shim killed before the hello is reported with its signal")
  func earlyKill() async throws { #expect(try await refusal("os.kill(os.getpid(), 9)") == .ended(.signalled(9))) }

  @Test("a shim that says nothing is waited for as long as was said")
  func silence() async throws {
    #expect(
      try await refusal("accept(); time.sleep(60)", limit: .milliseconds(1500)) == .hello(.noAnswer(Errno(ETIMEDOUT))))
  }

  @Test("the sentence of a shim that could not mount is the error")
  func sentence() async throws {
    let answer = try await refusal(
      "accept(); say(hello(status=13, message=b'/dev/fuse may not be opened')); time.sleep(60)")
    #expect(answer == .refused("/dev/fuse may not be opened"))
  }

  @Test("a wrong magic number, another ABI, too few descriptors and half a hello are refused by name")
  func hello() async throws {
    #expect(try await refusal("accept(); say(hello(magic=1), fds()); time.sleep(60)") == .hello(.notOurs))
    #expect(try await refusal("accept(); say(hello(abi=7), fds()); time.sleep(60)") == .hello(.otherABI(7)))
    #expect(try await refusal("accept(); say(hello(), fds()[:3]); time.sleep(60)") == .hello(.missingDescriptors(3)))
    #expect(try await refusal("accept(); say(hello(), []); time.sleep(60)") == .hello(.missingDescriptors(0)))
    #expect(
      try await refusal("accept(); say(hello()[:200]); connection.close(); time.sleep(60)")
        == .hello(.noAnswer(Errno(EPIPE))))
  }

  @Test(
    "a shim that needs a feature which is not known here is refused in one sentence, in its hello and in its region")
  func features() async throws {
    #expect(
      try await refusal("accept(); say(hello(needs=1 << 40), fds()); time.sleep(60)")
        == .hello(.otherFeatures(needed: 41)))
    let needing = "HEADER[:2760] + struct.pack('<Q', 1 << 40) + HEADER[2768:]"
    #expect(
      try await refusal("accept(); say(hello(), fds(header=\(needing))); time.sleep(60)") == .region(.otherFeatures))
  }

  @Test("a hello in another process's name is not the shim's")
  func impostor() async throws {
    #expect(try await refusal("accept(); say(hello(who=1), fds()); time.sleep(60)") == .impostor(1))
    #expect(
      try await refusal("accept(); say(hello(who=me(os.getppid())), fds()); time.sleep(60)") == .impostor(getpid()))
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
    #expect(
      try await refusal("accept(); say(hello(), fds(header=\(shifted))); time.sleep(60)") == .region(.badSections))
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
    guard
      case .notMounted = try await refusal("accept(); say(hello(), fds()); time.sleep(60)", limit: .milliseconds(1500))
    else {
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
    await #expect(throws: ShimHostError.runtimePathTooLong(options.runtimeFolder + "/shim.sock")) {
      try await host.start()
    }
  }

  @Test("garbage on the link before the mount is seen fails the start")
  func garbageAtOnce() async throws {
    guard
      case .refused(let sentence) = try await refusal("accept(); say(hello() + b'\\xff' * 64, fds()); time.sleep(60)")
    else {
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
      let host = scratch.host(
        FakeVolume(folder: scratch.backing), shim: try FakeShim.make("accept(); time.sleep(60)", in: scratch))
      let start = Task { @DispatchLoop in try await host.start() }
      try await Task.sleep(for: .milliseconds(patience))
      if host.isIdle { continue }
      await host.stop()
      await #expect(throws: ShimHostError.self) { try await start.value }
      #expect(host.isOver)
      #expect(host.process?.isRunning != true)
      #expect(access(scratch.runtime + "/shim.sock", F_OK) != 0)
    }
  }
}
