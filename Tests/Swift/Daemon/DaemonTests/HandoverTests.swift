import CLinux
import Core
import Glibc
import Support
import Testing

@testable import Daemon

@Suite("What one image leaves to the next")
struct HandoverTests {
  @Test("a handover reads back as it was written")
  func text() {
    #expect(Handover(Handover(lock: 7, reloads: 3).text) == Handover(lock: 7, reloads: 3))
  }

  @Test(
    "anything else is none",
    arguments: ["", "7", "7:", ":1", "7:1:2", "-1:1", "2:1", "7:0", "7:-1", "a:1", "7: 1", "99999999999:1"])
  func nonsense(text: String) { #expect(Handover(text) == nil) }

  @Test("an exec that fails leaves the lock close-on-exec and the signals as they were")
  func failedExec() throws {
    let folder = try TestFolder.make("handover")
    let lock = clinux_open(folder + "/lock", O_RDWR | O_CREAT, 0o600)
    defer {
      close(lock)
      unlink(folder + "/lock")
      rmdir(folder)
    }
    var mask = sigset_t()
    sigemptyset(&mask)
    sigaddset(&mask, SIGUSR2)
    var before = sigset_t()
    pthread_sigmask(SIG_BLOCK, &mask, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    let error = ProcessImage.replace(
      by: folder + "/nowhere", handing: Handover(lock: lock, reloads: 1),
      secrets: StartSecrets(["FSMVP_CLIENT_SECRET": "hush"]))
    #expect(error.code == ENOENT)
    #expect(fcntl(lock, F_GETFD) == FD_CLOEXEC)
    var after = sigset_t()
    pthread_sigmask(SIG_BLOCK, nil, &after)
    #expect(sigismember(&after, SIGUSR2) == 1)
    #expect(getenv(Handover.variable) == nil && getenv(StartSecrets.descriptorVariable) == nil)
  }

  @Test("the lock is taken over only where it is that file, locked by us")
  func lock() throws {
    let folder = try TestFolder.make("handover")
    let path = folder + "/lock"
    let lock = clinux_open(path, O_RDWR | O_CREAT, 0o600)
    let other = clinux_open(folder + "/other", O_RDWR | O_CREAT, 0o600)
    let second = clinux_open(path, O_RDWR, 0)
    defer {
      for descriptor in [lock, other, second] { close(descriptor) }
      for name in [path, folder + "/other"] { unlink(name) }
      rmdir(folder)
    }
    #expect(flock(lock, LOCK_EX | LOCK_NB) == 0)
    #expect(clinux_set_close_on_exec(lock, 0) == 0)
    #expect(Handover(lock: lock, reloads: 1).takeLock(at: path) == lock)
    // No other process inherits it.
    #expect(fcntl(lock, F_GETFD) == FD_CLOEXEC)
    #expect(Handover(lock: other, reloads: 1).takeLock(at: path) == nil)
    #expect(Handover(lock: second, reloads: 1).takeLock(at: path) == nil)
    #expect(Handover(lock: 99_999, reloads: 1).takeLock(at: path) == nil)
    #expect(Handover(lock: lock, reloads: 1).takeLock(at: folder + "/nowhere") == nil)
  }
}
