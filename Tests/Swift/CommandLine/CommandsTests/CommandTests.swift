import CLinux
import ControlClient
import ControlModel
import Core
import EventLoop
import Glibc
import MediaHub
import ShimHost
import Staging
import Support
import Synchronization
import Syntax
import TerminalUI
import Testing

@testable import Commands
@testable import ControlAPIFakes

/// The executable as people and programs run it, against a real server with fake operations.
@Suite("The executable", .timeLimit(.minutes(10)))
struct CommandTests {
  private static var executable: String {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    let own = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return own.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") + "/fsmvp"
  }

  private static func environment(_ folder: String) -> [String: String] {
    ["FSMVP_RUNTIME_DIR": folder, "HOME": folder]
  }

  private func fsmvp(_ harness: Harness, _ arguments: String...) -> Child.Result {
    Child.run(Self.executable, arguments, environment: Self.environment(harness.folder))
  }

  @Test("stage prints the path alone, or the item as JSON; the tag arrives as it was typed")
  func stage() async throws {
    try await Harness.run { harness in
      let tag = "a b/&#%+?ü..\u{1F600}"
      let staged = fsmvp(harness, "stage", "f1", "--recipient", tag)
      #expect(staged.code == 0)
      #expect(staged.output == "/mnt/x/Staged/f1/video.mp4\n")
      #expect(staged.errors == "")
      let json = fsmvp(harness, "stage", "f1", "--recipient", tag, "--json")
      let item = try ControlJSON.decode(StagedItem.self, from: Array(json.output.utf8))
      #expect(item == .example(id: "f1", recipient: tag))
      #expect(await harness.operations.asked == ["stage f1 for \(tag)", "stage f1 for \(tag)"])
    }
  }

  @Test("jobs, staged, status and trace print tables, and JSON for programs")
  func lists() async throws {
    try await Harness.run { harness in
      await harness.operations.set { $0.items = [.example()] }
      for (verb, heading) in [
        ("jobs", "There are no"), ("staged", "ID  "), ("status", "control plane"), ("trace", "OP "),
      ] {
        let table = fsmvp(harness, verb)
        #expect(table.code == 0)
        #expect(table.output.hasPrefix(heading), "\(verb)")
        let json = fsmvp(harness, verb, "--json")
        #expect(json.code == 0)
        #expect(json.output.hasPrefix("{") || json.output.hasPrefix("["))
        #expect(json.output.hasSuffix("\n"))
      }
      _ = fsmvp(harness, "jobs", "--search", "a&b=c d+e", "--start", "3", "--limit", "4")
      #expect(await harness.operations.asked.last == "jobs a&b=c d+e 3 4")
    }
  }

  @Test("unstage takes an id, a path, or --all, and no odd id means all")
  func unstage() async throws {
    try await Harness.run { harness in
      await harness.operations.set { $0.items = [.example(id: "i1")] }
      let path = "/mnt/x/Staged/i1/video.mp4"
      #expect(fsmvp(harness, "unstage", "i1").output == "unstaged \(path)\n")
      #expect(fsmvp(harness, "unstage", path).code == 0)
      #expect(fsmvp(harness, "unstage", "--all").output == "unstaged \(path)\n")
      for odd in ["..", ".", "?", "%2e", "#", "i1?x", "/", "%"] {
        #expect(fsmvp(harness, "unstage", odd).code == 4, "\(odd)")
      }
      #expect(await harness.operations.asked.filter { $0 == "unstage all" }.count == 1)
    }
  }

  @Test("stage --warm says so; pin and unpin take an id or a path; cache shows and clears")
  func keeping() async throws {
    try await Harness.run { harness in
      await harness.operations.set { $0.items = [.example(id: "i1")] }
      let path = "/mnt/x/Staged/i1/video.mp4"
      #expect(fsmvp(harness, "stage", "f", "--recipient", "a", "--warm").code == 0)
      #expect(fsmvp(harness, "pin", "i1").output == "pinned \(path)\n")
      #expect(fsmvp(harness, "unpin", path).output == "unpinned \(path)\n")
      let json = fsmvp(harness, "pin", path, "--json").output
      let item = try ControlJSON.decode(StagedItem.self, from: Array(json.utf8))
      #expect(item.pinned)
      #expect(fsmvp(harness, "pin", "nobody").code == 4)
      let shown = fsmvp(harness, "cache", "--json").output
      let report = try ControlJSON.decode(CacheReport.self, from: Array(shown.utf8))
      #expect(report == .example)
      #expect(fsmvp(harness, "cache").output.hasPrefix("folder     /var/cache/x\n"))
      #expect(fsmvp(harness, "cache", "clear").output == "3 MiB of 2 items freed\n")
      let asked = await harness.operations.asked.filter { !$0.hasSuffix("nobody") }
      #expect(asked.prefix(4) == ["stage f for a, warm", "pin i1", "unpin \(path)", "pin \(path)"])
      #expect(asked.suffix(3) == ["cache", "cache", "clear cache"])
    }
  }

  @Test(
    "each failure has its exit code, and its one sentence is on standard error alone",
    arguments: [
      (StagingError.noSuchFile("no file has the id f1"), 4), (.invalid("the job has 3 outputs"), 2),
      (.failed("no space"), 1),
      (.service(.refused("MediaHub refused the credentials")), 5),
      (.service(.unreachable("MediaHub cannot be reached")), 5),
      (.service(.malformed("MediaHub's answer is not JSON")), 5), (.service(.notFound("MediaHub has no file f1")), 4),
    ] as [(StagingError, Int32)])
  func failures(error: StagingError, code: Int32) async throws {
    try await Harness.run { harness in
      await harness.operations.set { $0.thrown = error }
      let result = fsmvp(harness, "stage", "f1", "--recipient", "a", "--json")
      #expect(result.code == code)
      #expect(result.output == "")
      #expect(result.errors.hasPrefix("fsmvp: "))
      #expect(result.errors.filter { $0 == "\n" }.count == 1)
    }
  }

  @Test("without a control plane every verb ends with 3 and says what to start")
  func none() throws {
    for folder in ["/nonexistent", "/tmp"] {
      for arguments in [
        ["status"], ["jobs", "--json"], ["staged"], ["stage", "f", "--recipient", "a"], ["unstage", "--all"], ["trace"],
        ["stop"],
        ["shim", "kill"], ["reload"],
      ] {
        let result = Child.run(
          Self.executable, arguments, environment: ["FSMVP_RUNTIME_DIR": folder, "HOME": "/nonexistent"])
        #expect(result.code == 3, "\(arguments) \(result.errors)")
        #expect(
          result.errors == "fsmvp: no control plane is running (socket \(folder)/api.sock); start it with `fsmvp run`\n"
        )
        #expect(result.output == "")
      }
    }
  }

  @Test("a socket that a dead control plane left behind is none")
  func dead() async throws {
    try await Harness.run { harness in
      let folder = harness.folder + "/dead"
      mkdir(folder, 0o700)
      Glibc.close(clinux_listen(folder + "/api.sock"))
      let result = Child.run(Self.executable, ["status"], environment: Self.environment(folder))
      #expect(result.code == 3)
      unlink(folder + "/api.sock")
      rmdir(folder)
    }
  }

  @Test("a runtime path too long for a socket is told as that")
  func long() {
    let result = Child.run(
      Self.executable, ["status"], environment: ["FSMVP_RUNTIME_DIR": "/tmp/" + String(repeating: "x", count: 120)])
    #expect(result.code == 2)
    #expect(result.errors.contains("too long"))
  }

  @Test("a control plane that takes connections and says nothing is given up")
  func silent() throws {
    let folder = try TestFolder.make("silent")
    let path = folder + "/api.sock"
    let listening = clinux_listen(path)
    defer {
      Glibc.close(listening)
      unlink(path)
      rmdir(folder)
    }
    var client = try SocketClient(socket: path)
    client.patience = .milliseconds(300)
    for waiting in [SocketClient.Waiting.controlPlane, .others] {
      do throws(ClientFailure) {
        _ = try client.send("GET", ["jobs"], waiting: waiting)
        Issue.record("was answered")
      } catch {
        #expect(error.kind == .failed)
        #expect(error.message.contains("does not answer"))
      }
    }
  }

  @Test("one that waits for MediaHub but lives is waited for, however long that takes")
  func slow() async throws {
    try await Harness.run { harness in
      await harness.operations.set { $0.held = "jobs" }
      let (socket, operations) = (harness.socket, harness.operations)
      let asking = Task.detached {
        var client = try SocketClient(socket: socket)
        // So many looks at the clock are one patience that a loop other tests keep busy still answers within it.
        client.clock = SteppingClock(step: client.patience / 40)
        do {
          return try client.send("GET", ["jobs"], waiting: .others)
        } catch {
          await operations.release()
          throw error
        }
      }
      await harness.operations.held(1)
      // A quarter of a patience goes by before each sign of life is asked for: this is two of them.
      await harness.operations.seen("status", times: 8)
      await harness.operations.release()
      let answer = try await asking.value
      #expect(answer.first == UInt8(ascii: "{"))
    }
  }

  @Test("stop returns when the process it stopped has ended")
  func stop() async throws {
    try await Harness.run { harness in
      // The server is this process, which does not end: what the verb waits for is shown with a child of ours.
      let pid = Child.spawn("/bin/sleep", ["600"], output: 2, errors: 2)
      let waiting = Task.detached { try StopVerb.waitForEnd(of: Int(pid)) }
      kill(pid, SIGKILL)
      try await waiting.value
      _ = Child.wait(pid)
      try StopVerb.waitForEnd(of: Int(pid))
      #expect(throws: CommandFailure.self) { try StopVerb.waitForEnd(of: Int(getpid()), patience: .milliseconds(50)) }
    }
  }

  @Test("an order about the shim prints who serves now, in a line or as JSON")
  func shim() async throws {
    try await Harness.run { harness in
      #expect(fsmvp(harness, "shim", "restart").output == "epoch 4, pid 43, outage 1.2 ms\n")
      #expect(
        fsmvp(harness, "shim", "restart", "--json").output == #"{"epoch":4,"outageMilliseconds":1.234,"pid":43}"# + "\n"
      )
      #expect(fsmvp(harness, "shim", "kill").output == "epoch 5, pid 44, outage unknown\n")
      #expect(await harness.operations.asked == ["shim restart", "shim restart", "shim kill"])
      await harness.operations.set { $0.thrown = ShimHostError.notMounted("/m") }
      let failed = fsmvp(harness, "shim", "kill")
      #expect(failed.code == 1)
      #expect(failed.errors.contains("/proc/self/mountinfo"))
    }
  }

  @Test("reload returns when everything is new, or says what is not")
  func reload() async throws {
    try await Harness.run { harness in
      await harness.operations.set { $0.next = ControlStatus.Reload(count: 1, state: .done) }
      let done = fsmvp(harness, "reload")
      #expect(done.code == 0)
      #expect(done.output == "reloaded: control plane pid 41, version 9.9.9; shim pid 42, epoch 3\n")
      await harness.operations.set {
        $0.next = ControlStatus.Reload(count: 1, state: .failed, reason: "no shim starts")
      }
      let failed = fsmvp(harness, "reload", "--json")
      #expect(failed.code == 1)
      #expect(failed.output == "")
      #expect(failed.errors == "fsmvp: no shim starts\n")
    }
  }

  @Test(
    "a status tells how a reload stands",
    arguments: [
      (nil, .underWay), (ControlStatus.Reload(count: 1, state: .done), .underWay),
      (ControlStatus.Reload(count: 2, state: .replacing), .underWay),
      (ControlStatus.Reload(count: 2, state: .done), .done), (ControlStatus.Reload(count: 3, state: .done), .done),
      (ControlStatus.Reload(count: 2, state: .failed, reason: "x"), .failed("x")),
    ] as [(ControlStatus.Reload?, ReloadVerb.Progress)])
  func progress(reload: ControlStatus.Reload?, progress: ReloadVerb.Progress) {
    var status = ControlStatus.example
    status.reload = reload
    #expect(ReloadVerb.Progress(status, of: ReloadReply(pid: 41, count: 2)) == progress)
  }

  @Test("version --abi prints a number alone")
  func abi() {
    let result = Child.run(Self.executable, ["version", "--abi"])
    #expect(result.code == 0)
    #expect(UInt32(result.output.dropLast()) != nil)
    #expect(result.output.last == "\n")
  }

  @Test("help and version go to standard output, with and without a verb")
  func help() {
    for arguments in [["help"], ["--help"], ["help", "stage"], ["stage", "--help"], ["version"], ["--version"]] {
      let result = Child.run(Self.executable, arguments)
      #expect(result.code == 0)
      #expect(!result.output.isEmpty)
      #expect(result.errors == "")
    }
    let usage = Child.run(Self.executable, [])
    #expect(usage.code == 2)
    #expect(usage.output == "")
  }

  @Test("config prints every setting and where it came from; a broken file is told with its place and code 2")
  func config() async throws {
    try await Harness.run { harness in
      let result = fsmvp(harness, "config")
      #expect(result.code == 0)
      #expect(result.output.contains("environment FSMVP_RUNTIME_DIR"))
      let json = fsmvp(harness, "config", "--json")
      #expect(json.output.contains(#"{"key":"max_tiles","source":"default","value":"0"}"#))
      let path = harness.folder + "/broken.toml"
      let descriptor = clinux_open(path, O_CREAT | O_WRONLY, 0o600)
      let text = "max_tiles = 1\nmax_tils = 2\n"
      #expect(write(descriptor, text, text.utf8.count) == text.utf8.count)
      Glibc.close(descriptor)
      for verb in ["config", "status"] {
        let broken = fsmvp(harness, verb, "--config", path)
        #expect(broken.code == 2)
        #expect(broken.errors.contains("broken.toml:2:1"))
        #expect(broken.errors.contains("max_tiles"))
      }
      unlink(path)
      #expect(fsmvp(harness, "status", "--config", path).code == 2)
    }
  }

  @Test("on a terminal tables fit its width, and names cannot steer it")
  func terminal() async throws {
    try await Harness.run { harness in
      await harness.operations.set { fake in
        let output = MediaHubOutput(fileId: "f1", name: "v\u{1b}]0;x\u{7}.mp4", size: 5, contentType: "video/mp4")
        fake.page = MediaHubPage(
          jobs: [MediaHubJob(id: "j1", name: String(repeating: "long ", count: 30), outputs: [output])], total: 1,
          start: 0, limit: 20)
      }
      for arguments in [["jobs"], ["jobs", "--json"]] {
        let shown = try onTerminal(arguments, columns: 60, environment: Self.environment(harness.folder))
        #expect(!shown.contains("\u{1b}"))
        #expect(!shown.contains("\u{7}"))
        if arguments.count == 1 {
          #expect(shown.contains("…"))
          #expect(shown.split(whereSeparator: \.isNewline).allSatisfy { DisplayText.width(String($0)) <= 60 })
        }
      }
    }
  }

  /// Runs a verb on a terminal of its own and returns its output.
  private func onTerminal(_ arguments: [String], columns: UInt16, environment: [String: String]) throws -> String {
    // Glibc's posix_openpt and its kin are not imported: what they do, by ioctl (TIOCSPTLCK, TIOCGPTN).
    let terminal = clinux_open("/dev/ptmx", O_RDWR | O_NOCTTY, 0)
    var number: Int32 = 0
    try #require(ioctl(terminal, 0x4004_5431, &number) == 0 && ioctl(terminal, 0x8004_5430, &number) == 0)
    let side = clinux_open("/dev/pts/\(number)", O_RDWR | O_NOCTTY, 0)
    var size = winsize(ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
    #expect(ioctl(side, UInt(TIOCSWINSZ), &size) == 0)
    // On a slow machine a progress line would come in between, with escapes of our own.
    let silence = clinux_open("/dev/null", O_WRONLY, 0)
    let pid = Child.spawn(Self.executable, arguments, environment: environment, output: side, errors: silence)
    Glibc.close(side)
    Glibc.close(silence)
    let shown = Child.read(terminal)
    #expect(Child.wait(pid) == 0)
    return shown
  }
}

/// A clock that goes on by a step with each look at it.
private final class SteppingClock: TimeSource {
  private let step: UInt64
  private let looks = Atomic<UInt64>(0)

  init(step: Duration) { self.step = UInt64(step.nanoseconds) }

  func now() -> Moment { Moment(nanoseconds: looks.wrappingAdd(1, ordering: .relaxed).newValue * step) }
  func wallNanoseconds() -> Int64 { 0 }
}
