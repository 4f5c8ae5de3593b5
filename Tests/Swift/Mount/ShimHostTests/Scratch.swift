import CLinux
import Core
import EventLoop
import Glibc
import Support
import Synchronization
import Testing
import Wire

@testable import ShimHost

/// A folder of one test, with a mount point, a runtime folder and a folder of backing files in it. `clear` unmounts
/// what a failed test left.
struct Scratch: Sendable {
  let path: String
  let root: OwnedDescriptor
  var mountpoint: String { path + "/mnt" }
  /// Its own: a start looks at every mount of its name.
  var fsname: String { "fsmvp-" + (path.split(separator: "/").last ?? "") }
  var runtime: String { path + "/run" }
  var backing: String { path + "/bytes" }

  init() throws {
    EventLoop.start()
    path = try TestFolder.make("host")
    mkdir(path + "/run", 0o700)
    mkdir(path + "/bytes", 0o700)
    root = OwnedDescriptor(clinux_open(path + "/bytes", O_RDONLY | O_DIRECTORY, 0))
  }

  /// The program built by `make shim`.
  static func shim() throws -> String {
    let built = #filePath.split(separator: "/").dropLast(5).reduce("") { $0 + "/" + $1 } + "/build/bin/fsmvp-shim"
    let path = getenv("FSMVP_SHIM").map { String(cString: $0) } ?? built
    try #require(access(path, X_OK) == 0, "there is no shim at \(path): run `make shim` first")
    return path
  }

  @DispatchLoop
  func host(_ volume: FakeVolume, shim: String) -> ShimHost {
    ShimHost(
      options: ShimHost.Options(
        mountpoint: mountpoint, fsname: fsname, runtimeFolder: runtime, shimPath: shim, roots: [root.number],
        volumeID: 7), volume: volume)
  }

  func clear() {
    while MountTable.current().isMounted(mountpoint) {
      if umount2(mountpoint, 2) != 0 { break }
    }
    for folder in ["/run", "/bytes", ""] {
      for name in FileManager.list(path + folder) where name != "." && name != ".." {
        unlink(path + folder + "/" + name)
      }
    }
    for folder in ["/mnt/below", "/mnt", "/run", "/bytes", ""] { rmdir(path + folder) }
  }
}

/// A thread that may hang in a file system.
// SAFETY: `result` is written by the thread before it ends and read after the join.
final class HangingCall<Value>: @unchecked Sendable {
  private var thread = pthread_t()
  private var result: Value?
  private let body: () -> Value

  init(_ body: @escaping @Sendable () -> Value) {
    self.body = body
    let context = Unmanaged.passRetained(self as AnyObject).toOpaque()
    pthread_create(
      &thread, nil,
      { @Sendable context in
        if let context { (Unmanaged<AnyObject>.fromOpaque(context).takeRetainedValue() as? any Hanging)?.run() }
        return nil
      }, context)
  }

  func join() -> Value? {
    pthread_join(thread, nil)
    return result
  }
}

/// A word between threads of a test.
final class Flag: Sendable {
  private let isSet = Mutex(false)
  var value: Bool { isSet.withLock { $0 } }
  func set() { isSet.withLock { $0 = true } }
}

private protocol Hanging { func run() }
extension HangingCall: Hanging { fileprivate func run() { result = body() } }

/// Waits until `condition` holds, some seconds at most; the test's own expectation says what was missing.
@DispatchLoop
func eventually(within limit: Duration = .seconds(60), _ condition: () -> Bool) async -> Bool {
  let deadline = SystemClock().now() + limit
  while !condition() {
    if SystemClock().now() >= deadline { return false }
    try? await Task.sleep(for: .milliseconds(5))
  }
  return true
}

/// Stops all threads of a process and returns once they stand: a signal on its way lets them finish what they are about
/// to do.
func stop(_ pid: Int32) async -> Bool {
  kill(pid, SIGSTOP)
  return await eventually {
    guard let tasks = opendir("/proc/\(pid)/task") else { return false }
    defer { closedir(tasks) }
    while let entry = readdir(tasks) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard Int32(name) != nil else { continue }
      var text = [UInt8](repeating: 0, count: 512)
      let descriptor = open("/proc/\(pid)/task/\(name)/stat", O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { continue }
      let count = read(descriptor, &text, text.count)
      close(descriptor)
      // Behind the name, which may hold anything but ends with the last parenthesis.
      guard let end = text[..<max(0, count)].lastIndex(of: UInt8(ascii: ")")), text[end + 2] == UInt8(ascii: "T") else {
        return false
      }
    }
    return true
  }
}

extension ShimHost {
  /// Plays this control plane's death: it hears, says and holds nothing any more, and its shims serve on.
  func leaveBehind() {
    fleet.endSupervision()
    link.close()
    channel?.close()
    enter(.failed("left behind", nil))
  }

  var isIdle: Bool { if case .idle = phase { true } else { false } }
  var shims: [ShimProcess] { fleet.shims }
  var process: ShimProcess? { fleet.current }
  var supervision: Supervision? { fleet.supervision }
  var region: Region? { channel?.region }
  /// The connection of a mount that is there.
  var connection: UInt64? { if case .serving(let mounted) = phase { mounted.connection } else { nil } }
}
