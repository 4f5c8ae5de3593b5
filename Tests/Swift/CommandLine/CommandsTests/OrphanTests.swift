import CLinux
import Glibc
import Support
import Testing

@testable import Commands

/// A cache folder with what a test puts there.
private final class Cache {
  let path: String

  init() throws { path = try TestFolder.make("orphans") }
  deinit { _ = Child.run("/bin/rm", ["-rf", path]) }

  func folder(_ name: String, _ files: [String] = []) -> String {
    let folder = "\(path)/\(name)"
    mkdir(folder, 0o700)
    for file in files { write("\(folder)/\(file)") }
    return folder
  }

  func write(_ path: String) {
    let descriptor = clinux_open(path, O_CREAT | O_WRONLY, 0o600)
    let bytes = [UInt8](repeating: 7, count: 4096)
    _ = Glibc.write(descriptor, bytes, bytes.count)
    close(descriptor)
  }

  func exists(_ name: String) -> Bool {
    var status = stat()
    return lstat("\(path)/\(name)", &status) == 0
  }
}

@Suite("Bytes that nobody owns")
struct OrphanTests {
  private static let dead = "0123456789abcdef"
  private static let own = "aaaaaaaaaaaaaaaa"

  @Test("a dead instance's files go, and its folder with them")
  func dead() throws {
    let cache = try Cache()
    _ = cache.folder(Self.dead, ["1.bytes", "1.sums", "2.bytes"])
    _ = cache.folder("ffffffffffffffff")
    let cleared = try OrphanFolder.clear(in: cache.path, except: Self.own)
    #expect(cleared.map(\.path) == ["\(cache.path)/\(Self.dead)", "\(cache.path)/ffffffffffffffff"])
    #expect(cleared.map(\.files) == [3, 0])
    #expect(cleared[0].bytes >= 3 * 4096)
    #expect(cleared.map(\.isRemoved) == [true, true])
    #expect(!cache.exists(Self.dead))
    #expect(try OrphanFolder.clear(in: cache.path, except: Self.own) == [])
  }

  @Test("what somebody holds, what is ours and what has another name stays")
  func others() throws {
    let cache = try Cache()
    let living = cache.folder(Self.dead, ["1.bytes"])
    _ = cache.folder(Self.own, ["1.bytes"])
    let names = ["0123456789ABCDEF", "0123456789abcde", "0123456789abcdef0", "films", "g123456789abcdef"]
    for name in names { _ = cache.folder(name, ["1.bytes"]) }
    cache.write("\(cache.path)/bbbbbbbbbbbbbbbb")
    // A shim holds it like this: with a lock, shared or not, by an open file of its own.
    let holder = clinux_open(living, O_RDONLY | O_DIRECTORY, 0)
    #expect(flock(holder, LOCK_EX | LOCK_NB) == 0)
    #expect(try OrphanFolder.clear(in: cache.path, except: Self.own) == [])
    for name in [Self.dead, Self.own] + names { #expect(cache.exists(name + "/1.bytes")) }
    #expect(cache.exists("bbbbbbbbbbbbbbbb"))
    close(holder)
    // A child that another test is about to start shares the lock until its exec.
    var cleared = 0
    for _ in 0..<2000 where cleared == 0 {
      cleared = try OrphanFolder.clear(in: cache.path, except: Self.own).count
      if cleared == 0 { usleep(5000) }
    }
    #expect(cleared == 1)
  }

  @Test("links are not followed, and files of other names keep their folder")
  func links() throws {
    let cache = try Cache()
    let elsewhere = cache.folder("films", ["1.bytes"])
    symlink(elsewhere, "\(cache.path)/cccccccccccccccc")
    let folder = cache.folder(Self.dead, ["1.bytes", "notes.txt"])
    symlink("\(elsewhere)/1.bytes", "\(folder)/2.bytes")
    mkdir("\(folder)/3.bytes", 0o700)
    let cleared = try OrphanFolder.clear(in: cache.path, except: nil)
    #expect(cleared.map(\.files) == [1])
    #expect(cleared.first?.isRemoved == false)
    #expect(!cache.exists("\(Self.dead)/1.bytes"))
    for name in ["films/1.bytes", "cccccccccccccccc", "notes.txt", "2.bytes", "3.bytes"] {
      #expect(cache.exists(name.contains(".") && !name.contains("/") ? "\(Self.dead)/\(name)" : name), "\(name)")
    }
  }

  @Test("a cache folder that is not there has no orphans")
  func missing() throws { #expect(try OrphanFolder.clear(in: "/nonexistent/cache", except: nil) == []) }
}
