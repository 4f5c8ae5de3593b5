import Testing

@testable import MediaHubSim

/// The catalog behind the list of jobs.
struct CatalogTests {
  @Test("files that are added in the same millisecond are listed in the order they came")
  func sameMillisecond() throws {
    var catalog = Catalog()
    let ids = (0..<50).map { String(repeating: "0", count: 22) + ($0 < 16 ? "0" : "") + String($0, radix: 16) }
    for id in ids { try catalog.add(CatalogFile(id: id, name: "\(id).mp4", size: 1000), now: 1_750_000_000_000) }
    var query = Catalog.Query()
    query.isDescending = true
    #expect(catalog.list(query).page.map { $0.outputs[0].id } == ids.reversed())
  }
}
