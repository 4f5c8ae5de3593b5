import CLinux
import Core
import Glibc

/// Variables of the environment whose values are secrets: the client secret, proxies with a password, anything named
/// like a token. They are taken out at the start and overwritten where they stood, because any process of the same user
/// can read `/proc/PID/environ`. A reload hands those that the program uses to its next image in a sealed memory file,
/// neither in the environment nor in arguments (docs/adr/0025). The value is taken once, on the main thread, before
/// another thread exists; `Service` holds it.
struct StartSecrets: Sendable, Equatable {
  /// Names the descriptor of the memory file, for the next image.
  static let descriptorVariable = "FSMVP_RELOAD_SECRETS"

  private static let proxies = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
  private static let words = [
    "SECRET", "TOKEN", "PASSW", "PASSPHRASE", "API_KEY", "APIKEY", "ACCESS_KEY", "PRIVATE_KEY", "CREDENTIAL",
  ]
  private static let longestFile = 1 << 20

  /// The variables that this program uses: its own settings and the proxies.
  private(set) var variables: [String: Redacted<String>] = [:]

  init(_ variables: [String: String] = [:]) { self.variables = variables.mapValues { Redacted($0) } }

  static func isSecret(_ name: String, _ value: String) -> Bool {
    let upper = name.uppercased()
    // systemd's folder of credentials is a path.
    if upper == "CREDENTIALS_DIRECTORY" { return false }
    if words.contains(where: { upper.contains($0) }) { return true }
    // Proxies are written without a scheme, too.
    guard let sign = value.lastIndex(of: "@") else { return false }
    return upper.hasSuffix("_PROXY") || value[..<sign].contains("://")
  }

  /// Takes all of them out of this process's environment. Before there are threads and children.
  static func take() -> StartSecrets {
    var secrets = StartSecrets()
    if let text = getenv(descriptorVariable), let descriptor = Int32(String(cString: text)), descriptor > 2 {
      unsetenv(descriptorVariable)
      secrets.read(descriptor)
    }
    var found: [(name: String, value: String)] = []
    var next = clinux_environment()
    while let text = next?.pointee {
      next = next?.advanced(by: 1)
      guard let sign = strchr(text, 0x3d) else { continue }
      let name = String(decoding: UnsafeRawBufferPointer(start: text, count: sign - text), as: UTF8.self)
      let value = String(cString: sign + 1)
      if isSecret(name, value) { found.append((name, value)) }
    }
    for (name, value) in found {
      if name.hasPrefix("FSMVP_") || proxies.contains(name) { secrets.variables[name] = Redacted(value) }
      clinux_forget_variable(name)
    }
    return secrets
  }

  /// The environment as it came, for the settings.
  func merged(into environment: [String: String]) -> [String: String] {
    environment.merging(variables.mapValues { $0.reveal() }) { _, secret in secret }
  }

  /// The proxy of the environment, in libcurl's order for https; nil for none. libcurl itself no longer finds what was
  /// taken out.
  func proxy(_ environment: [String: String]) -> Redacted<String>? {
    let all = merged(into: environment)
    return Self.proxies.lazy.compactMap { all[$0] }.first { !$0.isEmpty }.map { Redacted($0) }
  }

  // MARK: To the next image

  /// The variables in a sealed memory file, close-on-exec; nil if there are none.
  func file() throws(Errno) -> Int32? {
    guard !variables.isEmpty else { return nil }
    var bytes: [UInt8] = []
    for (name, value) in variables.sorted(by: { $0.key < $1.key }) {
      bytes += Array("\(name)=\(value.reveal())".utf8) + [0]
    }
    defer { bytes.withUnsafeMutableBytes { if let base = $0.baseAddress { explicit_bzero(base, $0.count) } } }
    let descriptor = clinux_memfd("fsmvp-secrets", Int64(bytes.count))
    guard descriptor >= 0 else { throw .current }
    guard pwrite(descriptor, bytes, bytes.count, 0) == bytes.count,
      clinux_seal(descriptor) == 0
    else {
      let error = Errno.current
      close(descriptor)
      throw error
    }
    return descriptor
  }

  /// Takes over what an image before this one left, and closes the file. Anything that such a file cannot be is
  /// ignored.
  mutating func read(_ descriptor: Int32) {
    guard clinux_is_sealed(descriptor) != 0 else { return }
    defer { close(descriptor) }
    var about = stat()
    guard fstat(descriptor, &about) == 0, about.st_size > 0, about.st_size <= Self.longestFile else { return }
    var bytes = [UInt8](repeating: 0, count: Int(about.st_size))
    defer { bytes.withUnsafeMutableBytes { if let base = $0.baseAddress { explicit_bzero(base, $0.count) } } }
    guard pread(descriptor, &bytes, bytes.count, 0) == bytes.count else { return }
    for entry in bytes.split(separator: 0) {
      guard let sign = entry.firstIndex(of: UInt8(ascii: "=")) else { continue }
      let name = String(decoding: entry[..<sign], as: UTF8.self)
      variables[name] = Redacted(String(decoding: entry[entry.index(after: sign)...], as: UTF8.self))
    }
  }
}
