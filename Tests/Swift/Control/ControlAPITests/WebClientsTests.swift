import Core
import Testing

@testable import ControlAPI

@Suite("WebClients of a listener")
struct WebClientsTests {
  private func at(_ seconds: Int) -> Moment { Moment(nanoseconds: UInt64(1000 + seconds) * 1_000_000_000) }

  private func clients(_ count: Int = 3) -> WebClients {
    WebClients(WebClients.Limits(count: count, asking: .seconds(15), answering: .seconds(60)))
  }

  @Test("the one that has been silent longest makes room; the new one never does")
  func room() {
    var clients = clients()
    let first = (1...3).map { clients.came(UInt($0), at: at($0)) }
    #expect(first == [nil, nil, nil])
    clients.turned(.asking, 1, at: at(4))
    let fourth = clients.came(4, at: at(5))
    #expect(fourth == 2)
    // It has not gone yet, and is not cut twice.
    let fifth = clients.came(5, at: at(6))
    #expect(fifth == 3)
    clients.went(2)
    clients.went(3)
    let sixth = clients.came(6, at: at(7))
    #expect(sixth == 4)
  }

  @Test("who has begun to ask goes only where nobody is silent, and who is served never")
  func ranks() {
    var clients = clients()
    for id in 1...3 { _ = clients.came(UInt(id), at: at(0)) }
    clients.turned(.served, 1, at: at(1))
    clients.turned(.asking, 2, at: at(2))
    clients.turned(.asking, 3, at: at(3))
    let fourth = clients.came(4, at: at(4))
    #expect(fourth == 2)
    clients.turned(.served, 3, at: at(5))
    clients.turned(.answering, 4, at: at(5))
    clients.went(2)
    let fifth = clients.came(5, at: at(6))
    #expect(fifth == nil, "all are served: libmicrohttpd's own limit is the last")
  }

  @Test("a request has its time from the connection, or from its first line, to its end, however much trickles in")
  func asking() {
    var clients = clients()
    _ = clients.came(1, at: at(0))
    #expect(late(&clients, 15) == [])
    #expect(late(&clients, 16) == [1])
    #expect(late(&clients, 17) == [], "once")
    clients.went(1)
    _ = clients.came(2, at: at(20))
    clients.turned(.asking, 2, at: at(30))
    clients.turned(.asking, 2, at: at(44))
    #expect(late(&clients, 45) == [])
    #expect(late(&clients, 46) == [2])
  }

  @Test("an operation takes what it takes, its answer a minute; then the connection is silent again")
  func answering() {
    var clients = clients()
    _ = clients.came(1, at: at(0))
    clients.turned(.asking, 1, at: at(1))
    clients.turned(.served, 1, at: at(2))
    #expect(late(&clients, 9000) == [])
    clients.turned(.answering, 1, at: at(9000))
    #expect(late(&clients, 9060) == [])
    clients.turned(.silent, 1, at: at(9060))
    #expect(late(&clients, 9075) == [])
    clients.turned(.asking, 1, at: at(9075))
    clients.turned(.answering, 1, at: at(9076))
    #expect(late(&clients, 9137) == [1])
  }

  @Test("one that is not known changes nothing")
  func unknown() {
    var clients = clients()
    clients.turned(.asking, 7, at: at(0))
    clients.went(7)
    #expect(clients.isEmpty && late(&clients, 100) == [])
  }

  private func late(_ clients: inout WebClients, _ seconds: Int) -> [UInt] { clients.overdue(at: at(seconds)) }
}
