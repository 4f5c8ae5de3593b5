import CLinux
import Core
import Glibc
import Testing

@testable import Daemon

/// Secrets of the environment, and how a reload hands them on. That they are gone from /proc/PID/environ is for the
/// mount tests.
struct StartSecretsTests {
  @Test(
    "what is secret by its name or holds a user in an address",
    arguments: [
      ("FSMVP_CLIENT_SECRET", "x", true), ("GITHUB_TOKEN", "x", true), ("aws_secret_access_key", "x", true),
      ("DB_PASSWORD", "x", true),
      ("https_proxy", "http://jane:pw@proxy.example:3128", true), ("ALL_PROXY", "jane:pw@proxy.example:3128", true),
      ("SOME_URL", "https://user@host/x", true), ("https_proxy", "http://proxy.example:3128", false),
      ("PATH", "/usr/bin", false),
      ("FSMVP_CLIENT_ID", "me", false), ("CREDENTIALS_DIRECTORY", "/run/credentials", false),
      ("no_proxy", "a,b", false),
      ("EMAIL", "me@example", false),
    ] as [(String, String, Bool)])
  func kinds(name: String, value: String, isSecret: Bool) { #expect(StartSecrets.isSecret(name, value) == isSecret) }

  @Test("what one image leaves is what the next one reads, in a file that nothing can change")
  func file() throws {
    let secrets = StartSecrets([
      "FSMVP_CLIENT_SECRET": "a=b\n/+ ü", "https_proxy": "http://jane:pw@proxy.example:1", "ALL_PROXY": "",
    ])
    let descriptor = try #require(try secrets.file())
    #expect(fcntl(descriptor, F_GETFD) == FD_CLOEXEC)
    #expect(pwrite(descriptor, "x", 1, 0) == -1 && ftruncate(descriptor, 0) == -1)
    let inode = inode(descriptor)
    var read = StartSecrets()
    read.read(descriptor)
    #expect(read == secrets)
    // Tests that run beside this one may have been given the number anew, so the file tells and not the number.
    #expect(self.inode(descriptor) != inode, "it is closed")
    #expect(try StartSecrets().file() == nil)
  }

  private func inode(_ descriptor: Int32) -> UInt64? {
    var status = stat()
    return fstat(descriptor, &status) == 0 ? UInt64(status.st_ino) : nil
  }

  @Test("a descriptor of anything else is left alone")
  func others() {
    let plain = clinux_memfd("plain", 10)
    defer { close(plain) }
    var read = StartSecrets()
    read.read(plain)
    read.read(99_999)
    #expect(read == StartSecrets() && fcntl(plain, F_GETFD) >= 0)
  }

  @Test("libcurl's order of proxies, and settings see what was taken out")
  func proxies() {
    let secrets = StartSecrets(["HTTPS_PROXY": "http://a:b@one:1", "FSMVP_CLIENT_SECRET": "s"])
    #expect(secrets.proxy(["all_proxy": "http://two:2"])?.reveal() == "http://a:b@one:1")
    #expect(secrets.proxy(["https_proxy": "http://three:3"])?.reveal() == "http://three:3")
    #expect(StartSecrets().proxy(["https_proxy": "", "ALL_PROXY": "four:4"])?.reveal() == "four:4")
    #expect(StartSecrets().proxy([:]) == nil)
    #expect(
      secrets.merged(into: ["A": "1"]) == ["A": "1", "FSMVP_CLIENT_SECRET": "s", "HTTPS_PROXY": "http://a:b@one:1"])
    #expect(!"\(secrets)".contains("a:b"))
  }

  @Test("a variable that is forgotten leaves no byte of its value where it stood")
  func forgotten() throws {
    setenv("FSMVP_TEST_FORGOTTEN", "hush", 1)
    let value = try #require(getenv("FSMVP_TEST_FORGOTTEN"))
    clinux_forget_variable("FSMVP_TEST_FORGOTTEN")
    #expect(getenv("FSMVP_TEST_FORGOTTEN") == nil && (0..<4).allSatisfy { value[$0] == 0 })
  }
}
