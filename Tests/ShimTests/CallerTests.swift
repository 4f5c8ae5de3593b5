import CShim
import Foundation
import Testing

/// The text of /proc/TID/status decides who may be answered EINTR.
@Suite struct CallerTests {
  func status(
    state: String = "S (sleeping)", thread: UInt64 = 0, process: UInt64 = 0, blocked: UInt64 = 0, ignored: UInt64 = 0,
    caught: UInt64 = 0
  ) -> String {
    func hex(_ mask: UInt64) -> String { String(repeating: "0", count: 16 - String(mask, radix: 16).count) + String(mask, radix: 16) }
    return """
      Name:\tShdPnd:ffff
      Umask:\t0022
      State:\t\(state)
      Tgid:\t77
      SigQ:\t6/96365
      SigPnd:\t\(hex(thread))
      ShdPnd:\t\(hex(process))
      SigBlk:\t\(hex(blocked))
      SigIgn:\t\(hex(ignored))
      SigCgt:\t\(hex(caught))
      CapInh:\t0000000000000000

      """
  }
  func bit(_ signal: Int32) -> UInt64 { 1 << UInt64(signal - 1) }

  @Test func theLiving() {
    #expect(!caller_dying(status()))
    for signal in [SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH] {
      #expect(!caller_dying(status(thread: bit(signal), process: bit(signal))), "\(signal)")
    }
    #expect(!caller_dying(status(process: bit(SIGUSR1), caught: bit(SIGUSR1))))
    #expect(!caller_dying(status(process: bit(SIGTERM), ignored: bit(SIGTERM))))
    #expect(!caller_dying(status(thread: bit(SIGTERM), blocked: bit(SIGTERM))))
    #expect(!caller_dying(""))
    #expect(!caller_dying("SigPnd"))
    #expect(!caller_gone_or_dying(UInt32(getpid())))
  }

  @Test func theDying() {
    for signal in [SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGHUP, SIGSEGV, SIGPIPE, 34, 64] {
      #expect(caller_dying(status(process: bit(signal))), "\(signal)")
      #expect(caller_dying(status(thread: bit(signal), caught: bit(SIGUSR2))), "\(signal)")
    }
    #expect(caller_dying(status(process: bit(SIGKILL), blocked: .max, caught: .max)))
    #expect(caller_dying(status(process: bit(SIGUSR1) | bit(SIGTERM), caught: bit(SIGUSR1))))
    #expect(caller_dying(status(state: "Z (zombie)")))
    #expect(caller_dying(status(state: "X (dead)")))
    #expect(caller_gone_or_dying(4_194_304 + 7))
  }
}
