import CLinux
import Core
import Glibc

/// The folder to mount on, looked at before anything is started. The functions wait for disks: for worker threads. They
/// keep no state, and serve `ShimHost` before it starts a shim and `Survivor` before one is adopted.
package enum Mountpoint {
  package enum Finding: Equatable, Sendable {
    /// An empty folder, with its path free of links.
    case ready(String)
    /// A mount of our type lies on it, of this fsname: dead or alive, which only `probe` finds out.
    case mountOfOurType(String, source: String)
  }

  package static let type = "fuse.fsmvp"

  /// Makes the folder where it is missing (it stays after the unmount) and looks at it without touching a mount.
  package static func examine(_ path: String) -> Result<Finding, MountpointFault> {
    if let error = makeFolders(path) { return .failure(error.code == ENOTDIR ? .notADirectory : .cannotBeMade(error)) }
    guard let resolved = resolve(path) else { return .failure(.cannotBeMade(.current)) }
    let table: MountTable
    switch MountTable.read() {
    case .success(let read): table = read
    case .failure(let error): return .failure(.cannotBeMade(error))
    }
    if let mount = table.top(at: resolved) {
      return mount.type == type
        ? .success(.mountOfOurType(resolved, source: mount.source)) : .failure(.foreignMount(type: mount.type))
    }
    var status = stat()
    guard stat(resolved, &status) == 0 else { return .failure(.cannotBeMade(.current)) }
    guard status.st_mode & S_IFMT == S_IFDIR else { return .failure(.notADirectory) }
    guard let folder = opendir(resolved) else { return .failure(.cannotBeMade(.current)) }
    defer { closedir(folder) }
    var entries = 0
    while readdir(folder) != nil {
      // Two entries are its own, `.` and `..`.
      entries += 1
      if entries > 2 { return .failure(.notEmpty) }
    }
    return .success(.ready(resolved))
  }

  package enum Life: Equatable, Sendable { case dead, alive }

  /// Touches the mount: may hang as long as its process does. By statfs, as the kernel answers a stat from its cache
  /// long after that process is dead.
  package static func probe(_ path: String) -> Life {
    var figures = statfs()
    return statfs(path, &figures) != 0 && (errno == ENOTCONN || errno == ECONNABORTED) ? .dead : .alive
  }

  /// Takes a dead mount away that has our type and this fsname; no other.
  package static func detach(_ path: String, source: String) -> MountpointFault? {
    for _ in 0..<16 {
      let table: MountTable
      switch MountTable.read() {
      case .success(let read): table = read
      case .failure(let error): return .cannotBeDetached("\(error)")
      }
      guard let mount = table.top(at: path) else { return nil }
      guard mount.type == type else { return .foreignMount(type: mount.type) }
      guard mount.source == source else { return .deadMount(of: mount.source, at: path) }
      if let cause = Unmount.unmount(path, isLazy: true, limit: .seconds(2)) { return .cannotBeDetached(cause) }
    }
    return .cannotBeDetached("there is always another one below")
  }

  /// Nil where the folder is there afterwards.
  private static func makeFolders(_ path: String) -> Errno? {
    var made = path.hasPrefix("/") ? "/" : ""
    var last: Errno?
    for part in path.split(separator: "/") {
      made += (made.isEmpty || made.hasSuffix("/") ? "" : "/") + part
      last = mkdir(made, 0o755) == 0 || errno == EEXIST ? nil : .current
    }
    // A folder above that may not be made because it stands read-only or elsewhere is no fault, as long as the last one
    // is there.
    guard let last else { return nil }
    return access(path, F_OK) == 0 ? nil : last
  }

  /// Absolute, without links. The mount itself is not entered: only names above it are looked up.
  static func resolve(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }
}
