import ControlModel
import Core
import EventLoop
import MediaHub
import Testing
import Volume

@testable import OpenFiles
@testable import Staging

@Suite("Staging")
struct StagingTests {
  @Test("a staged file has a path that leads to it, and the kernel is told after it does")
  func stageOne() async throws {
    try await World.run { world in
      world.catalogue.add("f1", name: "My/Film.mp4", size: 4711)
      var wasThere = false
      world.host.onInvalidate = { _ in wasThere = (try? world.names())?.count == 1 }
      let item = try await world.volume.stage("f1", recipient: " alice & co\n")
      #expect(wasThere)
      #expect(world.host.invalidated == [[NodeID(2)]])
      #expect(item.path == "/mnt/films/Staged/\(item.id)/My_Film.mp4")
      #expect(item.id == StableHash.hex("f1", "alice & co"))
      #expect(item.recipient == "alice & co" && item.fileId == "f1" && item.size == 4711)
      #expect(
        item.state == .ready && item.tileRef == 1 && item.openRef == 0 && item.bytesFetched == 0
          && item.bytesServed == 0)
      #expect(world.catalogue.questions == ["file f1", "origin f1 alice & co"])
      let found = try world.look(item)
      #expect(found.size == 4711 && found.kind == .file)
      #expect(world.volume.statistics == VolumeStatistics(bytes: 4711, files: 1))
      #expect(world.volume.isReadOnly && !world.volume.isBusy)
    }
  }

  @Test(
    "the same file for the same recipient is the standing item, untouched; the service is asked whether it still has that file"
  )
  func stageAgain() async throws {
    try await World.run { world in
      let first = try await world.stage("f1")
      let attributes = try world.look(first)
      let asked = world.catalogue.questions.count
      world.time.pass(.seconds(100))
      let second = try await world.stage("f1")
      #expect(second == first)
      #expect(try world.look(second) == attributes)
      #expect(world.catalogue.questions.count <= asked + 2)
      let other = try await world.stage("f1", "bob")
      #expect(other.id != first.id && world.volume.items().map(\.id) == [first.id, other.id])
    }
  }

  @Test("two stagings of one pair at the same time give one item and one link")
  func stageTogether() async throws {
    try await World.run { world in
      world.catalogue.add("f1")
      world.catalogue.hold()
      let volume = world.volume
      let stagings = (0..<5).map { _ in Task { @DispatchLoop in try await volume.stage("f1", recipient: "alice") } }
      await settle()
      world.catalogue.letGo()
      var ids: Set<String> = []
      for staging in stagings { ids.insert(try await staging.value.id) }
      #expect(ids.count == 1)
      #expect(world.volume.items().count == 1)
      #expect(world.catalogue.questions.filter { $0.hasPrefix("origin") }.count == 1)
    }
  }

  @Test("a job stands for its only output")
  func jobs() async throws {
    try await World.run { world in
      let outputs = (1...3).map {
        MediaHubOutput(fileId: "out\($0)", name: "o\n\($0).mp4", size: 9, contentType: "video/mp4")
      }
      world.catalogue.state.withLock { state in
        state.jobs["one"] = MediaHubJob(id: "one", name: "", outputs: [outputs[0]])
        state.jobs["many"] = MediaHubJob(id: "many", name: "", outputs: outputs)
        state.jobs["none"] = MediaHubJob(id: "none", name: "", outputs: [])
      }
      let result1 = try await world.volume.stage("one", recipient: "r")
      #expect(result1.fileId == "out1")
      let volume = world.volume
      await expectError({ try await volume.stage("many", recipient: "r") }) { error in
        guard case .invalid(let sentence) = error else { return false }
        return ["out1", "out2", "out3"].allSatisfy { sentence.contains($0) } && !sentence.contains("\n")
      }
      for id in ["none", "unknown"] {
        await expectError({ try await volume.stage(id, recipient: "r") }) {
          if case .noSuchFile = $0 { true } else { false }
        }
      }
    }
  }

  @Test("what cannot be staged is refused with one sentence, and nothing is left of it")
  func refusals() async throws {
    try await World.run { world in
      let volume = world.volume
      world.catalogue.add("f1")
      world.catalogue.add("negative", size: -1)
      world.catalogue.add("huge", size: .max)
      for (file, recipient) in [("f1", ""), ("f1", " \n"), ("", "r"), (" ", "r"), ("f1", "a\0b"), ("f\u{1}", "r")] {
        await expectError({ try await volume.stage(file, recipient: recipient) }) {
          if case .invalid = $0 { true } else { false }
        }
      }
      for file in ["negative", "huge"] {
        await expectError({ try await volume.stage(file, recipient: "r") }) {
          if case .service(.malformed) = $0 { true } else { false }
        }
      }
      world.catalogue.state.withLock { $0.originError = .unreachable("MediaHub does not answer") }
      await expectError({ try await volume.stage("f1", recipient: "r") }) {
        $0 == .service(.unreachable("MediaHub does not answer"))
      }
      #expect(volume.items().isEmpty && world.host.invalidated.isEmpty)
      #expect(try world.names().isEmpty)
      world.catalogue.state.withLock { $0.originError = nil }
      let result2 = try await volume.stage("f1", recipient: "r")
      #expect(result2.state == .ready, "a refusal is not remembered")
    }
  }

  @Test("staging B that fails leaves A as it is, even with one tile")
  func failureKeepsOthers() async throws {
    try await World.run({ $0.maxTiles = 1 }) { world in
      let a = try await world.stage("A")
      world.catalogue.state.withLock { $0.originError = .refused("no") }
      let volume = world.volume
      world.catalogue.add("B")
      await expectError({ try await volume.stage("B", recipient: "r") }) {
        if case .service = $0 { true } else { false }
      }
      #expect(world.row(a)?.tileRef == 1)
      world.catalogue.state.withLock { $0.originError = nil }
      _ = try await world.stage("B")
      #expect(world.row(a) == nil)
      #expect(world.host.invalidated.last?.count == 4)
    }
  }

  @Test("unstaging by id, by path, by its directory's path, or all at once")
  func unstaging() async throws {
    try await World.run { world in
      let volume = world.volume
      var items: [StagedItem] = []
      for index in 0..<6 { items.append(try await world.stage("f\(index)")) }
      let nodes = [try world.look(items[0]).node]
      for wrong in [
        "x", "", "/", "/mnt/films", "/mnt/films/Staged", items[0].path + "/x", "/mnt/films/Staged/\(items[0].id)/other",
        items[0].path + "x",
      ] {
        await expectError({ try await volume.unstage(wrong) }) { if case .noSuchItem = $0 { true } else { false } }
      }
      world.host.invalidated = []
      let gone = try await volume.unstage(items[0].id)
      #expect(gone.id == items[0].id && gone.tileRef == 0 && gone.state == .leaving)
      #expect(world.host.invalidated == [[NodeID(2), NodeID(nodes[0].rawValue - 1), nodes[0]]])
      _ = try await volume.unstage(items[1].path)
      _ = try await volume.unstage("/mnt/films/Staged/\(items[2].id)/")
      await expectError({ try await volume.unstage(items[0].id) }) { if case .noSuchItem = $0 { true } else { false } }
      #expect(try world.names() == items[3...].map(\.id))
      let result3 = try await volume.unstageAll()
      #expect(result3.flatMap { $0 }.map(\.id) == items[3...].map(\.id))
      #expect(try world.names().isEmpty)
      #expect(volume.items().isEmpty)
      let result4 = try await volume.unstageAll()
      #expect(result4.isEmpty)
    }
  }

  @Test("stage and unstage return when the kernel has forgotten, or after a second with a shim that stands still")
  func stuckShim() async throws {
    try await World.run { world in
      world.host.isStuck = true
      world.catalogue.add("f1")
      let volume = world.volume
      let staging = Task { @DispatchLoop in try await volume.stage("f1", recipient: "r") }
      while world.host.invalidated.isEmpty { await Task.yield() }
      await settle()
      #expect(world.alarms.all.count == 1, "still waiting")
      world.host.getUnstuck()
      let item = try await staging.value
      #expect(world.alarms.all.isEmpty)

      world.host.isStuck = true
      let unstaging = Task { @DispatchLoop in try await volume.unstage(item.id) }
      while world.host.invalidated.count < 2 { await Task.yield() }
      await world.alarms.pass(.seconds(1))
      let result5 = try await unstaging.value
      #expect(result5.id == item.id)
      world.host.getUnstuck()
    }
  }

  @Test("1,000 stagings at once are a few transactions, and all stand")
  func many() async throws {
    try await World.run { world in
      let volume = world.volume
      for index in 0..<1000 { world.catalogue.add("f\(index)") }
      let stagings = (0..<1000).map { index in
        Task { @DispatchLoop in try await volume.stage("f\(index)", recipient: "r") }
      }
      var ids: Set<String> = []
      for staging in stagings { ids.insert(try await staging.value.id) }
      #expect(ids.count == 1000)
      #expect(try Set(world.names()) == ids)
      try await world.restart()
      #expect(try Set(world.names()) == ids)
    }
  }
}

/// Expects `body` to throw a `StagingError` that `isRight`.
@DispatchLoop
func expectError<T>(
  _ body: @DispatchLoop () async throws -> T, sourceLocation: SourceLocation = #_sourceLocation,
  _ isRight: (StagingError) -> Bool
) async {
  do {
    _ = try await body()
    Issue.record("nothing was thrown", sourceLocation: sourceLocation)
  } catch let error as StagingError {
    #expect(isRight(error), "\(error)", sourceLocation: sourceLocation)
  } catch {
    Issue.record("\(error)", sourceLocation: sourceLocation)
  }
}

@Suite("The list in parts")
struct PageTests {
  @Test("a list taken in parts has every item once, those unstaged while open among them, by order of staging")
  func parts() async throws {
    try await World.run { world in
      var ids: [String] = []
      for number in 0..<7 { ids.append(try await world.stage("f\(number)").id) }
      let open = try #require(world.row(id: ids[3]))
      _ = try world.open(open, 1)
      _ = try await world.volume.unstage(ids[3])
      for limit in [1, 2, 3, 7, 100] {
        var seen: [String] = []
        var cursor: UInt64 = 0
        var parts = 0
        while true {
          let (items, next) = world.volume.items(after: cursor, limit: limit)
          #expect(items.count <= limit)
          seen += items.map(\.id)
          parts += 1
          guard let next else { break }
          cursor = next
        }
        #expect(seen == ids && parts == (7 + limit - 1) / limit, "limit \(limit)")
      }
      #expect(
        world.volume.items(after: try #require(world.volume.cursor(of: ids[5])), limit: 9).items.map(\.id) == [ids[6]])
      #expect(world.volume.cursor(of: "nothing") == nil)
      #expect(try world.volume.item(id: ids[3]).state == .leaving)
    }
  }
}
