import ByteSource
import Testing
import Transfer

@testable import HTTPSource

@Suite("Statuses")
struct StatusVerdictTests {
  @Test("every status has the verdict of the table in docs/ORIGINS.md", arguments: Array(100...599) as [Int])
  func table(status: Int) {
    let expected: StatusVerdict =
      switch status {
      case 200, 206: .bytes
      case 408, 425: .passing
      case 410, 451: .gone
      case 416: .outside
      case 429, 503: .overload
      case 400...499: .link
      default: .passing
      }
    #expect(StatusVerdict(status: status) == expected)
    switch TransferError.status(status, retryAfter: .seconds(3)).asSourceFailure.remedy {
    case .newAccess(.seconds(3), let isClear): #expect(expected == .link && !isClear || expected == .gone && isClear)
    case .retry(.seconds(3)): #expect(expected != .link && expected != .gone)
    default: Issue.record("\(status)")
    }
  }
}
