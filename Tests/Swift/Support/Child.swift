import Glibc

/// A program run to its end, with what it wrote.
package enum Child {
  package struct Result {
    /// 128 + the signal where one ended it.
    package var code: Int32
    package var output: String
    package var errors: String
  }

  /// - Parameter environment: all of it, besides PATH.
  package static func run(_ path: String, _ arguments: [String], environment: [String: String] = [:]) -> Result {
    var out: [Int32] = [0, 0]
    var err: [Int32] = [0, 0]
    // Not pipes: a child of another test, spawned meanwhile, would keep them open.
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, kind, 0, &out) == 0, socketpair(AF_UNIX, kind, 0, &err) == 0 else {
      return Result(code: -1, output: "", errors: "socketpair")
    }
    let pid = spawn(path, arguments, environment: environment, output: out[1], errors: err[1])
    close(out[1])
    close(err[1])
    // The standard error of these tests' programs fits the socket, so that one stream may be read after the other.
    let output = read(out[0])
    let errors = read(err[0])
    return Result(code: pid > 0 ? wait(pid) : -1, output: output, errors: errors)
  }

  package static func spawn(
    _ path: String, _ arguments: [String], environment: [String: String] = [:], output: Int32, errors: Int32
  ) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, output, 1)
    posix_spawn_file_actions_adddup2(&actions, errors, 2)
    let argv: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
    let variables = environment.merging(["PATH": "/usr/bin:/bin"]) { mine, _ in mine }
    let envp: [UnsafeMutablePointer<CChar>?] = variables.map { strdup("\($0)=\($1)") } + [nil]
    defer { for text in argv + envp { free(text) } }
    var pid = pid_t()
    return posix_spawn(&pid, path, &actions, nil, argv, envp) == 0 ? pid : -1
  }

  package static func wait(_ pid: pid_t) -> Int32 {
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
  }

  /// Everything up to the end (of a terminal, EIO is the end); closes the descriptor.
  package static func read(_ descriptor: Int32) -> String {
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      if count <= 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes.append(contentsOf: buffer[..<count])
    }
  }
}
