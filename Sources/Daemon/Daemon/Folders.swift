import CLinux
import ControlClient
import Core
import Glibc
import ShimHost
import Syntax
import Wire

/// The folders of one instance, made, checked and held: one control plane per runtime folder, by a lock that goes with
/// the process. It is made before the loops start, because it waits for the disk. `ControlPlane` holds the value, whose
/// descriptors stay open until the process ends.
struct Folders {
  let runtime: String
  /// Tells this instance's files and mount from others'.
  let instance: String
  /// The folder of this service, below the state folder: items of another MediaHub (or of the demo) are not this one's.
  let state: String
  /// `<cache>/<instance id>`, for files of bytes. If none are kept and it cannot be made, a folder in the runtime
  /// folder that stays empty.
  let bytes: String
  /// A descriptor of the runtime folder, whose flock is ours as long as it is open. A cleaner may take the files in the
  /// folder, but not this lock.
  let lock: Int32
  /// A descriptor of `bytes`, handed to the shim as a cache root. Control plane and shims share its flock, which tells
  /// other instances that the files are in use.
  let bytesDescriptor: Int32
  /// A descriptor of the folder of the mount's window, memory that control plane and shims share; handed to the shim as
  /// the root after that one.
  let windowDescriptor: Int32
  /// The shims of a control plane that died here, which hold those files.
  let survivor: Survivor?

  /// - Parameters:
  ///   - service: tells services apart; the API base, or "demo".
  ///   - keepsBytes: false: a cache folder that cannot be written to is as good as any.
  ///   - handover: of the image before this one, which held the lock.
  /// - Throws: one sentence: which folder, what is wrong with it, which setting names it.
  init(runtime: String, state: String, cache: String, service: String, keepsBytes: Bool, handover: Handover?)
    throws(StartError)
  {
    try Self.refuseFuse(state, "state_dir")
    try Self.refuseFuse(cache, "cache_dir or temp_dir")
    // The longest name we put there.
    guard runtime.utf8.count + "/shim.sock".utf8.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path) else {
      throw StartError(
        "the runtime folder \(runtime) is too long a path for a socket; set runtime_dir (FSMVP_RUNTIME_DIR) to a "
          + "shorter one"
      )
    }
    self.runtime = runtime
    try Self.makeRuntime(runtime)
    lock = try Self.lock(runtime, handover)
    do throws(ShimHostError) { survivor = try Survivor.find(in: runtime).get() } catch {
      throw StartError(error.description)
    }
    try Self.make(state, "state_dir")
    instance = try Self.instance(in: state)
    self.state = "\(state)/\(service == "demo" ? service : "service-" + StableHash.hex(service))"
    try Self.make(self.state, "state_dir")
    bytes = try Self.bytes("\(cache)/\(instance)", in: cache, spare: keepsBytes ? nil : "\(runtime)/cache")
    // Shims that serve from this very folder share one description of it, and its lock; a descriptor of our own could
    // not have that.
    bytesDescriptor = survivor?.root(at: bytes) ?? clinux_open(bytes, O_RDONLY | O_DIRECTORY, 0)
    guard bytesDescriptor >= 0 else { throw StartError("the cache folder \(bytes) cannot be opened: \(Errno.current)") }
    guard flock(bytesDescriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw StartError(
        "the files in \(bytes) belong to a process that still runs; end it, or set state_dir (FSMVP_STATE_DIR) to a "
          + "folder of its own"
      )
    }
    windowDescriptor = try Self.window(survivor)
  }

  // MARK: Later

  /// Why the next image could not use the folders as they are now; nil: it could. It waits for the disk.
  /// - Parameter keepsBytes: files of bytes are written to the cache folder.
  func faultForNextImage(keepsBytes: Bool) -> String? {
    do throws(StartError) {
      try Self.makeRuntime(runtime)
      try Self.make(state, "state_dir")
      try Self.tryToWrite(in: state)
      if keepsBytes { try Self.make(bytes, "cache_dir") }
      return nil
    } catch {
      return error.sentence
    }
  }

  private static func tryToWrite(in folder: String) throws(StartError) {
    let path = "\(folder)/.\(getpid()).try"
    let descriptor = clinux_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw StartError("no file can be made in \(folder): \(Errno.current)") }
    // The list of staged items grows by as much at a start.
    let error = posix_fallocate(descriptor, 0, 64 << 10)
    close(descriptor)
    unlink(path)
    guard error == 0 else { throw StartError("nothing can be written in \(folder): \(Errno(error)); make room there") }
  }

  /// Writes the instance's id again if its file was removed: without it the next start would take its own mount and
  /// bytes for another instance's. It waits for the disk; what fails now is tried again at the next look.
  func restoreInstance() {
    let root = state.split(separator: "/").dropLast().map { "/" + $0 }.joined()
    guard access(InstanceID.path(in: root), F_OK) != 0 else { return }
    do throws(StartError) {
      try Self.make(root, "state_dir")
      try Self.write(instance, in: root)
    } catch {}
  }

  // MARK: Steps

  /// - Parameter spare: what does as well, where nothing is to be written there.
  private static func bytes(_ folder: String, in cache: String, spare: String?) throws(StartError) -> String {
    do throws(StartError) {
      try make(cache, "cache_dir", mayBeOthers: true, isWritten: spare == nil)
      try make(folder, "cache_dir", isWritten: spare == nil)
      return folder
    } catch {
      guard let spare else { throw error }
      try make(spare, "runtime_dir")
      return spare
    }
  }

  /// That of the shims that serve, or a new one.
  private static func window(_ survivor: Survivor?) throws(StartError) -> Int32 {
    if let window = survivor?.windowRoot() { return window }
    switch WindowFile.make() {
    case .success(let window): return window
    case .failure(let error): throw StartError("the memory that files stream through cannot be made: \(error)")
    }
  }

  /// A cache that is read through FUSE may wait for ourselves.
  private static func refuseFuse(_ path: String, _ setting: String) throws(StartError) {
    guard let mount = MountTable.current().mount(holding: path), mount.isFuse else { return }
    throw StartError(
      "\(path) lies inside the FUSE mount \(mount.mountpoint); set \(setting) to a folder on a local disk")
  }

  /// Makes the folder with what leads to it, 0700, and checks that it is ours (`mayBeOthers`: that we can write to it,
  /// as a shared disk).
  static func make(_ path: String, _ setting: String, mayBeOthers: Bool = false, isWritten: Bool = true)
    throws(StartError)
  {
    var made = ""
    for part in path.split(separator: "/") {
      made += "/" + part
      guard mkdir(made, 0o700) != 0 else { continue }
      let error = Errno.current
      guard error.code == EEXIST || access(made, F_OK) == 0 else {
        throw StartError("the folder \(path) cannot be made: \(error); set \(setting) to one that can")
      }
    }
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw StartError("the folder \(path) cannot be used: \(Errno.current); set \(setting) to another one")
    }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw StartError("\(path) is not a folder; set \(setting) to one") }
    guard mayBeOthers || status.st_uid == geteuid() else {
      throw StartError(
        "the folder \(path) belongs to another user (uid \(status.st_uid)); set \(setting) to one of your own")
    }
    guard access(path, isWritten ? W_OK | X_OK : X_OK) == 0 else {
      throw StartError("the folder \(path) cannot be written to: \(Errno.current); set \(setting) to one that can")
    }
  }

  /// Refuses a folder that others may write to: it holds sockets and lock, which they could replace by their own.
  private static func refuseOpen(_ path: String, _ setting: String) throws(StartError) {
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & 0o022 != 0 else { return }
    throw StartError(
      "the folder \(path) can be written to by others; run `chmod 700 \(path)` or set \(setting) to a folder of your "
        + "own"
    )
  }

  /// The runtime folder, made and checked.
  static func makeRuntime(_ runtime: String) throws(StartError) {
    try make(runtime, "runtime_dir")
    try refuseOpen(runtime, "runtime_dir")
  }

  /// Never unlocked: the lock ends with the process.
  private static func lock(_ runtime: String, _ handover: Handover?) throws(StartError) -> Int32 {
    if let lock = handover?.takeLock(at: runtime) { return lock }
    let descriptor = clinux_open(runtime, O_RDONLY | O_DIRECTORY, 0)
    guard descriptor >= 0 else { throw StartError("the folder \(runtime) cannot be opened: \(Errno.current)") }
    let deadline = SystemClock().now() + LockHolder.patience
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      let holder = LockHolder(runtime: runtime)
      guard holder.isGone, SystemClock().now() < deadline else {
        close(descriptor)
        throw StartError(holder.sentence)
      }
      usleep(20_000)
    }
    if let error = notePID(in: runtime) {
      throw StartError("\(runtime)/lock cannot be written: \(error); set runtime_dir to another folder")
    }
    return descriptor
  }

  /// Writes this process's pid into the file `lock`, for people and for the sentences of other commands.
  static func notePID(in runtime: String) -> Errno? {
    let descriptor = clinux_open("\(runtime)/lock", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { return .current }
    defer { close(descriptor) }
    let pid = Array("\(getpid())\n".utf8)
    return pwrite(descriptor, pid, pid.count, 0) == pid.count ? nil : .current
  }

  /// The instance's id: 16 hex digits, made once a state folder.
  private static func instance(in state: String) throws(StartError) -> String {
    if let known = InstanceID.read(from: state) { return known }
    let id = StableHash.hex(String(UInt64.random(in: .min ... .max)))
    try write(id, in: state)
    return id
  }

  private static func write(_ id: String, in state: String) throws(StartError) {
    let path = InstanceID.path(in: state)
    let descriptor = clinux_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    guard descriptor >= 0 else { throw StartError("\(path) cannot be written: \(Errno.current)") }
    defer { close(descriptor) }
    let bytes = Array(id.utf8)
    guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
      throw StartError("\(path) cannot be written: \(Errno.current)")
    }
  }
}

/// Why `fsmvp run` does not start: one sentence with what to do.
struct StartError: Error {
  let sentence: String
  /// `usage` for what is wrong with settings, else `failed`.
  var code = ExitCode.failed
  init(_ sentence: String, code: ExitCode = .failed) {
    self.sentence = sentence
    self.code = code
  }
}
