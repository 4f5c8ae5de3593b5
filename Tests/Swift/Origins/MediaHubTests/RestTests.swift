import ByteSource
import Core
import HTTPSource
import Support
import Testing

@testable import MediaHub
@testable import Transfer

/// A service that asks to be left alone.
struct RestTests {
  private static let fileF = #"{"file": {"id": "f", "name": "a.mp4", "size": 9}}"#

  @TransferLoop
  private final class Told {
    var answer: FakeService.Answer?
  }

  @Test(
    "told to wait 120 s, forty callers send one request in those 120 s, and each is told until when",
    arguments: [429, 503])
  func longRest(status: Int) async throws {
    try await onLoop {
      let clock = ManualClock()
      let told = Told()
      told.answer = FakeService.status(status, retryAfter: .seconds(120))
      let service = FakeService { path, _ in path == "/files/f" ? told.answer ?? FakeService.json(Self.fileF) : nil }
      let client = service.client(clock: clock)
      for _ in 0..<40 {
        guard case .busy(let sentence, let left)? = await failure({ try await client.file("f") }) else {
          Issue.record("it was not told to wait")
          return
        }
        #expect(left <= .seconds(120) && sentence.contains("asked to wait until ") && sentence.contains("(\(status))"))
        #expect(client.restSentence == sentence)
        clock.advance(by: .seconds(2))
      }
      #expect(service.paths.filter { $0 == "/files/f" }.count == 1)
      #expect(service.pauses.isEmpty)
      told.answer = nil
      clock.advance(by: .seconds(120 - 80))
      #expect(client.restSentence == nil)
      let file = try await client.file("f")
      #expect(file.size == 9)
    }
  }

  @Test(
    "no longer than the setting allows is it obeyed",
    arguments: [(86_400, 300), (120, 120), (301, 300)] as [(Int64, Int64)])
  func bounded(asked: Int64, obeyed: Int64) async throws {
    try await onLoop {
      let clock = ManualClock()
      let service = FakeService { path, _ in
        path == "/files/f" ? FakeService.status(429, retryAfter: .seconds(asked)) : nil
      }
      let client = service.client(clock: clock)
      guard case .busy(_, let left)? = await failure({ try await client.file("f") }) else {
        Issue.record("it was not told to wait")
        return
      }
      #expect(left == .seconds(obeyed))
    }
  }

  @Test("a limit of nothing obeys nothing")
  func unlimited() async throws {
    try await onLoop {
      let service = FakeService { path, _ in
        path == "/files/f" ? FakeService.status(429, retryAfter: .seconds(120)) : nil
      }
      let client = service.client(retryAfterLimit: .zero)
      #expect(
        await failure { try await client.file("f") }
          == .unreachable("MediaHub at https://hub.example asks for fewer requests (429); try again in a while"))
      #expect(client.restSentence == nil)
    }
  }

  @Test("a link that a file is read by is asked for again when the service may be asked again")
  func link() async throws {
    try await onLoop {
      let clock = ManualClock()
      let service = FakeService { path, _ in
        path == "/files/downloads/" ? FakeService.status(503, retryAfter: .seconds(90)) : nil
      }
      let origin = service.client(clock: clock).source(fileID: "f", name: "a.mp4", size: 9, recipient: "t")
      for seconds in [90, 60] as [Int64] {
        do throws(TransferError) {
          _ = try await origin.link(replacing: nil)
          Issue.record("a link")
        } catch { #expect(error.asSourceFailure.remedy == .retry(after: .seconds(seconds))) }
        clock.advance(by: .seconds(30))
      }
      #expect(service.paths.filter { $0 == "/files/downloads/" }.count == 1)
    }
  }

  @Test("a rest that is nearly over is waited for")
  func shortRest() async throws {
    try await onLoop {
      let clock = ManualClock()
      let told = Told()
      told.answer = FakeService.status(429, retryAfter: .seconds(60))
      let service = FakeService { path, _ in path == "/files/f" ? told.answer ?? FakeService.json(Self.fileF) : nil }
      let client = service.client(clock: clock)
      _ = await failure { try await client.file("f") }
      told.answer = nil
      clock.advance(by: .seconds(53))
      let file = try await client.file("f")
      #expect(file.size == 9)
      #expect(service.pauses == [.seconds(7)])
    }
  }

  @Test("a request that waits for its second try hears of a rest that another one was told of, and is not sent")
  func restMeanwhile() async throws {
    try await onLoop {
      let service = FakeService { path, _ in
        switch path {
        case "/files/f": FakeService.status(500)
        case "/files/g": FakeService.status(429, retryAfter: .seconds(120))
        default: nil
        }
      }
      let client = service.client(clock: ManualClock())
      service.onPause = {
        service.onPause = nil
        _ = await failure { try await client.file("g") }
      }
      guard case .busy? = await failure({ try await client.file("f") }) else {
        Issue.record("it was not told to wait")
        return
      }
      #expect(service.paths.filter { $0 == "/files/f" }.count == 1 && service.pauses == [.milliseconds(250)])
    }
  }

  @Test("rests that follow one another are not waited for without end")
  func restsWithoutEnd() async throws {
    try await onLoop {
      let clock = ManualClock()
      let service = FakeService { path, _ in
        switch path {
        case "/files/f": FakeService.status(500)
        case "/files/g": FakeService.status(429, retryAfter: .seconds(4))
        default: nil
        }
      }
      let client = service.client(clock: clock)
      service.onPause = {
        let own = service.onPause
        service.onPause = nil
        clock.advance(by: .seconds(1))
        _ = await failure { try await client.file("g") }
        service.onPause = own
      }
      guard case .busy? = await failure({ try await client.file("f") }) else {
        Issue.record("it was not told to wait")
        return
      }
      #expect(service.paths.filter { $0 == "/files/f" }.count <= 2)
    }
  }

  // MARK: Turns

  @Test("three hundred pinned files ask for their links eight at a time, and what a reader waits for comes first")
  func turns() async throws {
    try await onLoop {
      let service = FakeService { path, _ in
        path == "/files/downloads/" ? FakeService.redirect("https://s.example/x") : nil
      }
      let client = service.client()
      // The token first, which waits for no turn.
      _ = await failure { try await client.file("none") }
      let before = service.requests.count
      service.isHolding = true
      let origins = (0..<300).map { client.source(fileID: "f\($0)", name: "a.mp4", size: 9, recipient: "t") }
      let pins = origins.map { origin in Task { try await origin.link(replacing: nil, isUrgent: false) } }
      while service.requests.count < before + 8 { await Task.yield() }
      for _ in 0..<100 { await Task.yield() }
      #expect(service.requests.count == before + 8)
      // Two links become urgent: one that was asked for already, and one that was not.
      origins[250].hurry()
      let opened = Task {
        try await client.source(fileID: "open", name: "a.mp4", size: 9, recipient: "t").link(
          replacing: nil, isUrgent: true)
      }
      for _ in 0..<100 { await Task.yield() }
      service.release()
      for pin in pins { _ = try await pin.value }
      _ = try await opened.value
      #expect(service.peak == 8 && service.requests.count == before + 301)
      let files = service.requests[before...].map { $0.url.split(separator: "=")[1].prefix { $0 != "&" } }
      #expect(files[..<8] == (0..<8).map { "f\($0)" }[...])
      #expect(Set(files[8..<10]) == ["f250", "open"])
      // In their order, but eight are under way together, and each of those may reach the service late: so none comes
      // more than seven places early.
      let numbers = files[10..<200].compactMap { Int($0.dropFirst()) }
      #expect(numbers.count == 190 && zip(numbers, 8...).allSatisfy { $0 - $1 < 8 }, "\(numbers)")
    }
  }
}
