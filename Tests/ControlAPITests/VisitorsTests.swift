import Core
import Testing

@testable import ControlAPI

@Suite("Visitors of a door")
struct VisitorsTests {
  private func at(_ seconds: Int) -> Moment { Moment(nanoseconds: UInt64(1000 + seconds) * 1_000_000_000) }

  private func visitors(_ count: Int = 3) -> Visitors {
    Visitors(Visitors.Limits(count: count, asking: .seconds(15), answering: .seconds(60)))
  }

  @Test("the one that has been silent longest makes room; the new one never does")
  func room() {
    var visitors = visitors()
    let first = (1...3).map { visitors.came(UInt($0), at: at($0)) }
    #expect(first == [nil, nil, nil])
    visitors.turned(.asking, 1, at: at(4))
    let fourth = visitors.came(4, at: at(5))
    #expect(fourth == 2)
    // It has not gone yet, and is not cut twice.
    let fifth = visitors.came(5, at: at(6))
    #expect(fifth == 3)
    visitors.went(2)
    visitors.went(3)
    let sixth = visitors.came(6, at: at(7))
    #expect(sixth == 4)
  }

  @Test("who has begun to ask goes only where nobody is silent, and who is served never")
  func ranks() {
    var visitors = visitors()
    for id in 1...3 { _ = visitors.came(UInt(id), at: at(0)) }
    visitors.turned(.served, 1, at: at(1))
    visitors.turned(.asking, 2, at: at(2))
    visitors.turned(.asking, 3, at: at(3))
    let fourth = visitors.came(4, at: at(4))
    #expect(fourth == 2)
    visitors.turned(.served, 3, at: at(5))
    visitors.turned(.answering, 4, at: at(5))
    visitors.went(2)
    let fifth = visitors.came(5, at: at(6))
    #expect(fifth == nil, "all are served: libmicrohttpd's own limit is the last")
  }

  @Test("a request has its time from the connection, or from its first line, to its end, however much trickles in")
  func asking() {
    var visitors = visitors()
    _ = visitors.came(1, at: at(0))
    #expect(late(&visitors, 15) == [])
    #expect(late(&visitors, 16) == [1])
    #expect(late(&visitors, 17) == [], "once")
    visitors.went(1)
    _ = visitors.came(2, at: at(20))
    visitors.turned(.asking, 2, at: at(30))
    visitors.turned(.asking, 2, at: at(44))
    #expect(late(&visitors, 45) == [])
    #expect(late(&visitors, 46) == [2])
  }

  @Test("an operation takes what it takes, its answer a minute; then the connection is silent again")
  func answering() {
    var visitors = visitors()
    _ = visitors.came(1, at: at(0))
    visitors.turned(.asking, 1, at: at(1))
    visitors.turned(.served, 1, at: at(2))
    #expect(late(&visitors, 9000) == [])
    visitors.turned(.answering, 1, at: at(9000))
    #expect(late(&visitors, 9060) == [])
    visitors.turned(.silent, 1, at: at(9060))
    #expect(late(&visitors, 9075) == [])
    visitors.turned(.asking, 1, at: at(9075))
    visitors.turned(.answering, 1, at: at(9076))
    #expect(late(&visitors, 9137) == [1])
  }

  @Test("one that is not known changes nothing")
  func unknown() {
    var visitors = visitors()
    visitors.turned(.asking, 7, at: at(0))
    visitors.went(7)
    #expect(visitors.isEmpty && late(&visitors, 100) == [])
  }

  private func late(_ visitors: inout Visitors, _ seconds: Int) -> [UInt] { visitors.overdue(at: at(seconds)) }
}
