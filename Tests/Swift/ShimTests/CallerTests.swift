import CShim
import Foundation
import Testing

/// The text of /proc/TID/status decides which callers may be answered EINTR.
@Suite struct CallerTests {
  func status(
    state: String = "S (sleeping)", thread: UInt64 = 0, process: UInt64 = 0, blocked: UInt64 = 0, ignored: UInt64 = 0,
    caught: UInt64 = 0
  ) -> String {
    func hex(_ mask: UInt64) -> String {
      String(repeating: "0", count: 16 - String(mask, radix: 16).count) + String(mask, radix: 16)
    }
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
  func caller_dying(_ text: String) -> Bool {
    var scan = caller_scan()
    // In pieces, as a long file is read.
    for piece in Array(text.utf8CString.dropLast()).chunked(7) { caller_scan(&scan, piece, piece.count) }
    return caller_scan_says_dying(&scan)
  }
  func caller_gone_or_dying(_ tid: UInt32) -> Bool { caller_look(tid) == CALLER_DYING }
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

  @Test("a reader in 65,536 groups can be killed: its status is longer than any buffer")
  func manyGroups() {
    let groups = "Groups:\t" + (0..<65_536).map { String(4_000_000_000 + $0) }.joined(separator: " ") + "\n"
    let text = status(process: bit(SIGTERM)).replacingOccurrences(of: "SigQ:", with: groups + "SigQ:")
    #expect(text.utf8.count > 700_000)
    #expect(caller_dying(text))
    #expect(
      !caller_dying(text.replacingOccurrences(of: "ShdPnd:\t0000000000004000", with: "ShdPnd:\t0000000000000000")))
  }

  @Test("a pid of another pid namespace says nothing")
  func strangers() {
    #expect(caller_known(0) == 0)
    #expect(caller_some_unknown())
    #expect(caller_known(UInt32(getpid())) == UInt32(getpid()))
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

extension Array {
  func chunked(_ size: Int) -> [[Element]] {
    stride(from: 0, to: count, by: size).map { Array(self[$0..<Swift.min($0 + size, count)]) }
  }
}
