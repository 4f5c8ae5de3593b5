import ControlModel
import Core
import Glibc
import Testing

@testable import MediaHub
@testable import Transfer

/// Lists of jobs from services that count, page and bound in ways of their own.
struct JobPagesTests {
  /// A service with so many jobs.
  @TransferLoop
  private static func service(
    _ count: Int, rule: @escaping @TransferLoop (_ start: Int, _ limit: Int) -> (rows: Range<Int>, total: Int?)?
  )
    -> FakeService
  {
    FakeService { path, request in
      guard path == "/jobs/" else { return nil }
      func number(_ name: String) -> Int {
        Int(request.url.split(separator: "\(name)=").last?.prefix { $0.isNumber } ?? "") ?? 0
      }
      guard let (rows, total) = rule(number("start"), number("limit")) else {
        return .failure(.tooLong(limit: 16 << 20))
      }
      let jobs = rows.clamped(to: 0..<count).map {
        #"{"id": "j\#($0)", "outputs": [{"file": {"id": "f\#($0)", "name": "n", "size": 1}}]}"#
      }
      let field = total.map { #""total": \#($0), "# } ?? ""
      return FakeService.json("{\(field)\"jobs\": [\(jobs.joined(separator: ","))]}")
    }
  }

  private func ids(_ range: Range<Int>) -> [String] { range.map { "j\($0)" } }

  @Test(
    "a page of jobs one row short of the total is asked for its rest once, and that is all",
    arguments: [1, 5, 100, 600])
  func oneShort(limit: Int) async throws {
    try await onLoop {
      let service = Self.service(limit - 1) { start, rows in (start..<start + rows, limit) }
      let page = try await service.client().jobs(search: nil, start: 0, limit: limit)
      #expect(page.jobs.map(\.id) == ids(0..<limit - 1) && page.total == limit)
      #expect(service.paths.filter { $0 == "/jobs/" }.count <= 3)
    }
  }

  @Test("a service that gives the same rows whatever is asked for is not asked without end")
  func sameRows() async throws {
    try await onLoop {
      let service = Self.service(10) { _, _ in (0..<10, 1_000_000) }
      let page = try await service.client().jobs(search: nil, start: 0, limit: 5000)
      #expect(page.jobs.map(\.id) == ids(0..<10))
      #expect(service.paths.filter { $0 == "/jobs/" }.count == 2)
    }
  }

  @Test(
    "a service that gives fewer rows at a time than asked for is asked for the rest", arguments: [nil, 260] as [Int?])
  func smallPages(total: Int?) async throws {
    try await onLoop {
      let service = Self.service(260) { start, rows in (start..<start + min(rows, total == nil ? 500 : 100), total) }
      let page = try await service.client().jobs(search: nil, start: 0, limit: 300)
      #expect(page.jobs.map(\.id) == ids(0..<260) && page.total == 260)
    }
  }

  @Test("5,000 large jobs, of which 16 MiB hold 90, come in smaller pages")
  func largeJobs() async throws {
    try await onLoop {
      let service = Self.service(5000) { start, rows in rows > 90 ? nil : (start..<start + rows, 5000) }
      let page = try await service.client().jobs(search: nil, start: 0, limit: 5000)
      #expect(page.jobs.map(\.id) == ids(0..<5000))
      #expect(page.jobs.allSatisfy { $0.outputs.count == 1 })
    }
  }

  @Test("a single job that is too long is an error that names no setting")
  func oneTooLong() async throws {
    try await onLoop {
      let service = Self.service(9) { start, rows in rows > 0 ? nil : (start..<start, 9) }
      #expect(
        await failure { try await service.client().jobs(search: nil, start: 0, limit: 5000) }
          == .tooLong("MediaHub at https://hub.example gave an answer of more than 16 MiB, which is not read"))
    }
  }

  @Test("a list that grows at its head meanwhile has each job once")
  func growing() async throws {
    try await onLoop {
      let service = Self.service(2000) { start, rows in
        // Thirty new ones came before the second page.
        start == 0 ? (30..<30 + rows, 1970) : (start..<start + rows, 2000)
      }
      let page = try await service.client().jobs(search: nil, start: 0, limit: 1000)
      #expect(page.jobs.map(\.id) == ids(30..<1000))
    }
  }

  @Test("a long list is not decoded on the transfer loop")
  func decodedElsewhere() async throws {
    try await onLoop {
      let loopThread = pthread_self()
      let long = Array(("{" + String(repeating: " ", count: 1 << 20) + "}").utf8)
      let found = try #require(await LenientJSON.decoded(Place.self, from: long))
      #expect(pthread_equal(found.thread, loopThread) == 0)
      let short = try #require(await LenientJSON.decoded(Place.self, from: Array("{}".utf8)))
      #expect(pthread_equal(short.thread, loopThread) != 0)
    }
  }
}

/// Which thread decoded it.
private struct Place: Decodable, Sendable {
  let thread: pthread_t
  init(from decoder: any Decoder) throws { thread = pthread_self() }
}
