import Core
import Testing
import Volume

@testable import OpenFiles
@testable import Staging

@Suite("Idle files are parked")
struct ParkingTests {
  @Test(
    "two thousand files opened and closed in turn, faster than the grace, hold few descriptors and no place for long")
  func manyFiles() throws {
    var bench = Bench { rules in
      let limits = FileKeeper.Rules.limits(descriptors: 1024)
      (rules.capacity, rules.resting) = (limits.capacity, limits.resting)
    }
    #expect(bench.tiles.rules.capacity == 768 && bench.tiles.rules.resting == 192)
    var most = 0
    for number in 0..<2_000 {
      let entry = bench.stage("f\(number)")
      bench.open(entry, UInt64(number + 1))
      let store = try bench.made()
      #expect(bench.asked.contains(.answer(HandleID(UInt64(number + 1)), .store(store))))
      bench.close(UInt64(number + 1))
      most = max(most, bench.tiles.files.table.held)
      // The disk is as fast as the opens.
      if bench.asked.contains(where: { if case .file(.parkStore) = $0 { true } else { false } }) {
        _ = try bench.parked()
      }
    }
    #expect(most <= 193 && bench.tiles.files.table.held == 192)
    bench.seconds += 5
    // A few at a time.
    while let due = bench.tiles.files.nextDeadline, due <= bench.time.now {
      bench.pass(0)
      for case .file(.parkStore(let store)) in bench.asked {
        let key = try #require(bench.tiles.files.owner(of: store))
        _ = bench.tiles.parked(store, ParkedFile(file: BytesFile(key, store), bytes: 1, stamp: 1), at: bench.time)
      }
    }
    #expect(bench.tiles.files.table.held == 0 && bench.tiles.files.figures.resting == 0)
  }

  @Test("past every limit the open of that one file fails; it works again as soon as another is closed")
  func everyPlaceInUse() throws {
    var bench = Bench { ($0.capacity, $0.resting) = (2, 1) }
    let entries = ["A", "B", "C"].map { bench.stage($0) }
    for (number, entry) in entries.prefix(2).enumerated() {
      bench.open(entry, UInt64(number + 1))
      _ = try bench.made()
    }
    bench.open(entries[2], 3)
    #expect(bench.asked == [.file(.full(entries[2].key)), .answer(HandleID(3), .failed(.tooManyFiles))])
    bench.close(3)
    bench.close(1)
    bench.open(entries[2], 4)
    #expect(bench.asking == nil, "it waits until an unused store has been parked")
    _ = try bench.parked()
    _ = try bench.made()
    #expect(bench.tiles[entries[2]]?.waiters.isEmpty == true)
  }

  @Test("three hundred pins are fetched four at a time, each of them once")
  func manyPins() throws {
    var bench = Bench()
    var making: [StoreGeneration] = []
    func note(_ actions: [StagedAction]) {
      for case .file(.makeStore(_, let store)) in actions { making.append(store) }
    }
    for number in 0..<300 {
      bench.pin(bench.stage("f\(number)"))
      note(bench.asked)
    }
    #expect(making.count == 4)
    var next = 0
    while next < making.count {
      let store = making[next]
      next += 1
      bench.asked = bench.tiles.storeMade(store, at: bench.time)
      #expect(bench.asked == [.setFilling(store, true)] && bench.tiles.files.table.held <= 5)
      bench.asked = bench.tiles.storeComplete(store, at: bench.time)
      note(bench.asked)
      _ = try bench.parked()
      note(bench.asked)
    }
    #expect(making.count == 300 && Set(making).count == 300 && bench.tiles.files.table.held == 0)
  }

  @Test("the place of a file that was unstaged before its store came is the next one's")
  func unstagedWhileMaking() throws {
    var bench = Bench { $0.filling = 1 }
    let first = bench.stage("A")
    bench.pin(first)
    let store = try #require(bench.asking)
    let second = bench.stage("B")
    bench.pin(second)
    #expect(bench.asking == nil)
    bench.unstage(first)
    #expect(bench.asking != nil)
    #expect(bench.tiles.storeMade(store, at: bench.time) == [.closeStore(store)])
  }

  @Test("files of a volume that has stopped hold up those of another neither while they wait nor while they are parked")
  func twoVolumes() throws {
    var rules = FileKeeper.Rules()
    rules.filling = 1
    var keeper = FileKeeper(rules: rules)
    let volumes = [VolumeID(1), VolumeID(2)]
    for volume in volumes {
      keeper.add(volume, generation: 1)
      _ = keeper.begin(volume)
    }
    func key(_ volume: Int, _ node: UInt64) -> FileKey { FileKey(volumes[volume], NodeID(node)) }
    guard case .makeStore(_, let making)? = keeper.pin(key(0, 17), size: 100).first else {
      Issue.record("nothing is made")
      return
    }
    #expect(keeper.pin(key(0, 19), size: 100) == [] && keeper.pin(key(1, 17), size: 100) == [])
    _ = keeper.stop(volumes[0])
    var actions = keeper.storeMade(making)
    #expect(actions.first == .parkStore(making))
    actions += keeper.parked(making, ParkedFile(file: BytesFile(key(0, 17), making), bytes: 1, stamp: 1))
    #expect(actions.contains { if case .makeStore(key(1, 17), _) = $0 { true } else { false } })
  }

  @Test("pinned bytes survive a stop; all others go")
  func pinnedAtStop() throws {
    var bench = Bench()
    let (pinned, pinnedFile) = try bench.idle("pinned", 1)
    bench.pin(pinned)
    let open = bench.stage("open")
    bench.pin(open)
    let store = try bench.made()
    let (_, other) = try bench.idle("other", 3)
    bench.asked = bench.tiles.stop(at: bench.time)
    #expect(bench.asked == [.parkStore(store)])
    let openFile = try bench.parked(isComplete: false)
    #expect(Set(bench.tiles.files.kept(.staged).files) == [pinnedFile.file, openFile.file])
    #expect(!bench.tiles.files.kept(.staged).files.contains(other.file))
  }
}

@Suite("Staged again")
struct StagedAgainTests {
  @Test("a file that is unstaged and staged again keeps its mtime, after a restart too; another length is another file")
  func sameTime() async throws {
    try await World.run { world in
      let first = try world.look(try await world.stage("f1"))
      world.time.pass(.seconds(100))
      _ = try await world.volume.unstageAll()
      try await world.restart()
      let second = try world.look(try await world.stage("f1"))
      #expect(second.modified == first.modified && second.node != first.node)
      let other = try world.look(try await world.stage("f1", "bob"))
      #expect(other.modified != first.modified)
    }
  }

  @Test("staging a file that changed at the service brings the new one; handles that are open keep the old one")
  func replaced() async throws {
    try await World.run { world in
      let old = try await world.stage("f1")
      let node = try world.look(old).node
      _ = try world.open(old, 1)
      await settle()
      world.catalogue.add("f1", size: 3 << 20)
      let new = try await world.stage("f1")
      #expect(new.size == 3 << 20 && new.path == old.path)
      let attributes = try world.look(new)
      #expect(attributes.node != node && attributes.size == 3 << 20)
      #expect(try world.volume.attributes(of: node).size == 1 << 20)
    }
  }
}
