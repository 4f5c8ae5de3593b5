import ControlModel
import Core
import Testing

@testable import MediaHub
@testable import Transfer

/// Jobs and files: what is sent, and what comes of the answers.
struct CatalogTests {
  private static let fileF = #"{"file": {"id": "f", "name": "a.mp4", "size": 9, "mime_type": "video/mp4"}}"#

  @Test(
    "jobs are asked for with the documented query, search text encoded, start and limit within bounds",
    arguments: [
      (nil, 0, 20, "start=0&limit=20&sort=created_at&direction=-1"),
      ("", -3, 0, "start=0&limit=1&sort=created_at&direction=-1"),
      ("a b&c=ü", 40, 9999, "start=40&limit=500&sort=created_at&direction=-1&input.file.name=a%20b%26c%3D%C3%BC"),
      (nil, Int.max, Int.min, "start=2147483647&limit=1&sort=created_at&direction=-1"),
    ] as [(String?, Int, Int, String)])
  func jobsQuery(search: String?, start: Int, limit: Int, query: String) async throws {
    try await onLoop {
      let service = FakeService { path, _ in path == "/jobs/" ? FakeService.json(#"{"jobs": [], "total": 3}"#) : nil }
      let page = try await service.client().jobs(search: search, start: start, limit: limit)
      #expect(page.total == 3)
      #expect(
        service.requests.last?.url == FakeService.base + "/jobs/?status=SUCCESS&expand=file&autograph=true&" + query)
      #expect(service.requests.last?.bearer?.reveal() == "T1")
    }
  }

  @Test(
    "an id is one segment of the path, whatever it holds",
    arguments: [
      ("a/../../oauth2/token/", "/files/a%2F..%2F..%2Foauth2%2Ftoken%2F"), ("a b?c#d", "/files/a%20b%3Fc%23d"),
      ("%2e%2e", "/files/%252e%252e"),
      ("..a", "/files/..a"), ("ü", "/files/%C3%BC"),
    ])
  func segments(id: String, path: String) async throws {
    try await onLoop {
      let service = FakeService()
      let error = await failure { try await service.client().file(id) }
      #expect(error == .notFound("there is no file \(id) in MediaHub; `fsmvp jobs` lists what there is"))
      #expect(service.requests.last?.url == FakeService.base + path)
    }
  }

  @Test(
    "an id that would walk the path is not found without a request",
    arguments: ["", ".", "..", String(repeating: "a", count: 257)])
  func walking(id: String) async throws {
    try await onLoop {
      let service = FakeService()
      for error in [
        await failure { try await service.client().file(id) }, await failure { try await service.client().job(id) },
      ] {
        guard case .notFound? = error else {
          Issue.record("\(String(describing: error))")
          continue
        }
      }
      #expect(service.requests.isEmpty)
    }
  }

  @Test("a job is read with its outputs, and a job there is not says so")
  func job() async throws {
    try await onLoop {
      let service = FakeService { path, _ in
        path == "/jobs/j"
          ? FakeService.json(#"{"job": {"id": "j", "input": {"file": {"name": "N"}}, "outputs": [\#(Self.fileF)]}}"#)
          : nil
      }
      let client = service.client()
      let output = MediaHubOutput(fileId: "f", name: "a.mp4", size: 9, contentType: "video/mp4")
      let job = try await client.job("j")
      #expect(job == MediaHubJob(id: "j", name: "N", outputs: [output]))
      #expect(
        await failure { try await client.job("k") }
          == .notFound("there is no job k in MediaHub; `fsmvp jobs` lists what there is"))
    }
  }

  @Test(
    "a file without a size, or of a negative one, cannot be staged and says so",
    arguments: [
      #"{"file": {"id": "f", "name": "n"}}"#, #"{"file": {"id": "f", "name": "n", "size": -4}}"#,
    ])
  func sizeless(body: String) async throws {
    try await onLoop {
      let service = FakeService { path, _ in path == "/files/f" ? FakeService.json(body) : nil }
      #expect(
        await failure { try await service.client().file("f") }
          == .malformed("MediaHub does not say how large file f is, so it cannot be staged"))
    }
  }

  @Test(
    "stubs are completed, each file once, no more than eight at a time; what cannot be completed is left out, jobs without outputs stay"
  )
  func stubs() async throws {
    try await onLoop {
      let outputs = (0..<40).map { #"{"file": {"id": "s\#($0 % 30)", "href": "x"}}"# }.joined(separator: ",")
      let service = FakeService { path, _ in
        if path == "/jobs/" {
          return FakeService.json(
            """
            {"total": 3, "jobs": [{"id": "many", "outputs": [\(outputs)]}, {"id": "none"},
              {"id": "whole", "outputs": [\(Self.fileF), {"file": {"href": "no id"}}, {"file": {"id": "", "name": "x", "size": 3}}]}]}
            """)
        }
        guard path.hasPrefix("/files/s") else { return nil }
        let id = path.dropFirst("/files/".count)
        switch id {
        case "s3": return FakeService.status(404)
        case "s4": return FakeService.json(#"{"file": {"id": "s4", "name": "x"}}"#)
        case "s5": return .failure(.unreachable("reset"))
        case "s6": return FakeService.json(#"{"file": {"id": "s6", "name": "empty", "size": 0}}"#)
        default: return FakeService.json(#"{"file": {"id": "\#(id)", "name": "\#(id).mp4", "size": 7}}"#)
        }
      }
      let client = service.client()
      // A token first, so that the peak is the files'.
      _ = await failure { try await client.file("f") }
      let before = service.requests.count
      service.isHolding = true
      let listing = Task { try await client.jobs(search: nil, start: 0, limit: 50) }
      // Requests are released again and again: every one that could start is waiting by then.
      while service.peak < 8 || service.requests.count < before + 1 + 30 {
        for _ in 0..<10 { await Task.yield() }
        service.release()
        service.isHolding = service.requests.count < before + 1 + 30
      }
      let page = try await listing.value
      #expect(service.peak == 8)
      #expect(page.jobs.map(\.id) == ["many", "none", "whole"])
      let missing: Set = ["s3", "s4", "s5"]
      #expect(page.jobs[0].outputs.map(\.fileId) == (0..<40).map { "s\($0 % 30)" }.filter { !missing.contains($0) })
      #expect(page.jobs[0].outputs.first { $0.fileId == "s6" }?.size == 0)
      #expect(page.jobs[1].outputs.isEmpty)
      #expect(page.jobs[2].outputs.map(\.fileId) == ["f"])
      let files = service.paths[(before + 1)...]
      #expect(files.count == 30 + 2, "each once, the unreachable one with its two more tries")
    }
  }
}
