import CLinux
import ControlClient
import ControlModel
import Core
import EventLoop
import Glibc
import ShimHost
import Support
import Testing
import TextVolume

@testable import ControlAPI
@testable import Daemon

/// A real mount, with the shim that `make shim` builds.
@Suite("A kind of volume from a folder of its own", .timeLimit(.minutes(5)))
struct TextVolumeTests {
  init() { EventLoop.start() }

  @Test("the control plane mounts it, serves its files, answers its routes and tells its events")
  @DispatchLoop func registered() async throws {
    let folder = try TestFolder.make("texts")
    defer { Self.clear(folder) }
    mkdir(folder + "/run", 0o700)
    let options = ShimHost.Options(
      mountpoint: folder + "/other", fsname: "fsmvp-\(folder.split(separator: "/").last ?? "")",
      runtimeFolder: folder + "/run",
      shimPath: try Self.shim(), roots: [], volumeID: 1)
    let kind = TextKind(
      mountpoint: folder + "/mnt", contents: TextContents([("one.txt", "a few words"), ("empty.txt", "")]))
    let mount = try await Mount.open(kind, like: options, state: folder + "/state")
    try await mount.start()
    let server = try ControlServer(
      socket: folder + "/run/api.sock", web: WebOptions(opening: .never, runtimeFolder: folder + "/run"),
      groups: [mount.routes],
      readiness: { Readiness(.serving) })
    let heard = await Self.look(folder)
    await server.close()
    mount.volume.stop()
    await mount.host.stop()
    await mount.volume.remove(forget: false)
    #expect(!MountTable.current().isMounted(folder + "/mnt"))
    #expect(heard.text == "a few words")
    #expect(heard.empty == "")
    #expect(heard.answers == [#"["one.txt","empty.txt"]"#, #""a few words""#, #""a few""#])
    #expect(
      heard.refusals == [
        "there is no text two.txt", "words has to be a whole number from 1 to 100",
        "the parameter word is not known here",
      ])
    #expect(heard.events == ["snapshot", "text_opened"])
  }

  /// A mount of its own for calls that block, made elsewhere.
  @DispatchLoop
  private func mounted<Value: Sendable>(
    _ contents: TextContents, _ look: @escaping @Sendable (String) -> Value
  ) async throws -> Value {
    let folder = try TestFolder.make("texts")
    defer { Self.clear(folder) }
    mkdir(folder + "/run", 0o700)
    let options = ShimHost.Options(
      mountpoint: folder + "/other", fsname: "fsmvp-\(folder.split(separator: "/").last ?? "")",
      runtimeFolder: folder + "/run", shimPath: try Self.shim(), roots: [], volumeID: 1)
    let mount = try await Mount.open(
      TextKind(mountpoint: folder + "/mnt", contents: contents), like: options, state: folder + "/state")
    try await mount.start()
    let value = await OwnThread.run { look(folder + "/mnt") }
    mount.volume.stop()
    await mount.host.stop()
    await mount.volume.remove(forget: false)
    #expect(!MountTable.current().isMounted(folder + "/mnt"))
    return value
  }

  @Test("modes, the three times, links and extended attributes are the volume's") @DispatchLoop
  func attributes() async throws {
    var contents = TextContents([("one.txt", "a few words")])
    contents.links = [("link", "one.txt"), ("far", "/nowhere/\(String(repeating: "x", count: 200))")]
    @Sendable nonisolated func python(_ call: String) -> String {
      "python3 -c \"import os\ntry: print(\(call))\nexcept OSError as error: print(error.errno)\""
    }
    let answers = try await mounted(contents) { path in
      [
        "stat -c '%a %s %X %Y %Z %F' one.txt", "stat -c '%a %s %F' link", "readlink link", "readlink far | wc -c",
        "cat link", python("os.getxattr('one.txt', 'user.words')"), python("os.listxattr('one.txt')"),
        python("os.getxattr('one.txt', 'user.other')"), python("os.listxattr('link', follow_symlinks=False)"),
        python("os.setxattr('one.txt', 'user.words', b'4')"), "ls | sort | tr '\\n' ' '",
      ].map { shell("cd '\(path)' && \($0)").output }
    }
    let made = 1_700_000_000
    #expect(
      answers == [
        "640 11 \(made + 86_400) \(made) \(made + 172_800) regular file\n", "777 7 symbolic link\n", "one.txt\n",
        "210\n", "a few words", "b'3'\n", "['user.words']\n", "\(ENODATA)\n", "[]\n", "\(EROFS)\n", "far link one.txt ",
      ])
  }

  @Test("names that are looked up elsewhere are answered as others are, many at a time") @DispatchLoop
  func slowNames() async throws {
    let names = (0..<40).map { "text \($0)" }
    var contents = TextContents(names.map { ($0, "bytes of \($0)") })
    contents.slowNames = Set(names)
    let texts = try await mounted(contents) { path in names.map { Self.read("\(path)/\($0)") } }
    #expect(texts == names.map { "bytes of \($0)" })
  }

  @Test("a directory of 100,000 entries has each of them once, by name and with attributes") @DispatchLoop
  func crowd() async throws {
    var contents = TextContents([])
    contents.crowd = 100_000
    let answers = try await mounted(contents) { path in
      [
        "ls -f crowd | sort | uniq -c | awk '{ print $1 }' | uniq -c | xargs",
        "ls -lU crowd | awk 'NR > 1 { sum += $5 } END { printf \"%.0f\\n\", sum }'", "stat -c %s 'crowd/file 99999'",
        "ls 'crowd/file 100000' 2>/dev/null; echo $?",
      ].map { shell("cd '\(path)' && \($0)").output }
    }
    #expect(answers == ["100002 1\n", "4999950000\n", "99999\n", "2\n"])
  }

  private struct Heard: Sendable {
    var text: String?
    var empty: String?
    var answers: [String] = []
    var refusals: [String] = []
    var events: [String] = []
  }

  /// Calls that block, away from the loop that answers them.
  private nonisolated static func look(_ folder: String) async -> Heard {
    await OwnThread.run {
      var heard = Heard()
      let socket = folder + "/run/api.sock"
      heard.text = read(folder + "/mnt/one.txt")
      heard.empty = read(folder + "/mnt/empty.txt")
      guard let client = try? SocketClient(socket: socket) else { return heard }
      func ask(_ path: [String], _ query: [(String, String)] = []) {
        do throws(ClientFailure) {
          heard.answers.append(String(decoding: try client.send("GET", path, query: query), as: UTF8.self))
        } catch {
          heard.refusals.append(error.message)
        }
      }
      ask(["texts"])
      ask(["texts", "one.txt"])
      ask(["texts", "one.txt"], [("words", "2")])
      ask(["texts", "two.txt"])
      ask(["texts", "one.txt"], [("words", "0")])
      ask(["texts", "one.txt"], [("word", "2")])
      heard.events = events(folder)
      return heard
    }
  }

  /// The names of the events from the first one to that of a text that was opened after it.
  private nonisolated static func events(_ folder: String) -> [String] {
    let connection = clinux_connect(folder + "/run/api.sock")
    defer { close(connection) }
    let request = Array("GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
    guard send(connection, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else { return [] }
    var text = ""
    var buffer = [UInt8](repeating: 0, count: 4096)
    var isOpened = false
    while !text.contains("event: text_opened") {
      let count = recv(connection, &buffer, buffer.count, 0)
      guard count > 0 else { break }
      text += String(decoding: buffer[..<count], as: UTF8.self)
      // The first look after the first listener tells nothing: what was before is in the snapshot.
      guard text.contains("event: snapshot"), !isOpened else { continue }
      isOpened = true
      usleep(600_000)
      _ = read(folder + "/mnt/one.txt")
    }
    return text.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("event: ") }.map { String($0.dropFirst(7)) }
  }

  private nonisolated static func read(_ path: String) -> String? {
    guard let file = fopen(path, "re") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = fread(&bytes, 1, bytes.count, file)
    return ferror(file) == 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
  }

  private static func shim() throws -> String {
    let built = #filePath.split(separator: "/").dropLast(5).reduce("") { $0 + "/" + $1 } + "/build/bin/fsmvp-shim"
    let path = getenv("FSMVP_SHIM").map { String(cString: $0) } ?? built
    try #require(access(path, X_OK) == 0, "there is no shim at \(path): run `make shim` first")
    return path
  }

  private static func clear(_ folder: String) {
    if MountTable.current().isMounted(folder + "/mnt") { umount2(folder + "/mnt", 2) }
    for path in ["run/texts", "run", "state/texts", "state", "mnt", ""] {
      for name in ["shim.sock", "api.sock", "lock"] { unlink("\(folder)/\(path)/\(name)") }
      rmdir("\(folder)/\(path)")
    }
  }
}
