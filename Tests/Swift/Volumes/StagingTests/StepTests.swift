import ControlModel
import Core
import Testing
import Volume

@testable import OpenFiles
@testable import Staging

@Suite("With very many items no step of the loop is about more than a few of them")
struct StepTests {
  @Test("a stop takes files in parts, and from its first part on no file is opened any more")
  func stop() throws {
    var bench = Bench()
    var stores: [StoreGeneration] = []
    for number in 0..<100 {
      bench.open(bench.stage("f\(number)"), UInt64(number))
      stores.append(try bench.made())
    }
    let late = bench.stage("late")
    var closed: [StoreGeneration] = []
    var from: UInt64? = 0
    var parts = 0
    while let node = from {
      let (actions, next) = bench.tiles.files.stop(.staged, from: node, limit: 16)
      let closing = actions.compactMap { action -> StoreGeneration? in
        if case .closeStore(let generation) = action { generation } else { nil }
      }
      #expect(closing.count <= 16)
      closed += closing
      parts += 1
      bench.open(late, 1000)
      #expect(bench.asked == [.answer(HandleID(1000), .failed(.io))])
      from = next
    }
    #expect(closed.sorted { $0.rawValue < $1.rawValue } == stores && parts == 7)
    #expect(bench.tiles.files.stop(.staged).actions.isEmpty, "a second stop")
  }

  @Test("graces that end together are seen to in parts, each of which says when the next one is due: now")
  func graces() throws {
    var bench = Bench()
    for number in 0..<50 {
      bench.open(bench.stage("f\(number)"), UInt64(number))
      _ = try bench.made()
    }
    for number in 0..<50 { bench.close(UInt64(number)) }
    var parked = 0
    bench.seconds += 5
    while let due = bench.tiles.files.nextDeadline, due <= bench.time.now {
      bench.pass(0)
      let parking = bench.asked.count { action in if case .file(.parkStore) = action { true } else { false } }
      #expect((1...FileKeeper.dueAStep).contains(parking))
      parked += parking
    }
    #expect(parked == 50)
  }

  @Test(
    "a start with many items that were unstaged while open takes them in parts, and keeps those that are open still")
  func begin() {
    var earlier = Bench()
    let entries = (0..<100).map { earlier.stage("f\($0)") }
    var bench = Bench(firstGeneration: 100)
    for entry in entries {
      let isRestored = bench.restore(entry, order: 0, isLeaving: true)
      #expect(isRestored)
    }
    let open: [HandleID: NodeID] = [HandleID(1): entries[7].file, HandleID(2): entries[42].file]
    bench.tiles.items.count(open, &bench.tiles.files)
    var gone: [UInt64] = []
    var parts = 0
    var isMore = true
    while isMore {
      let step = bench.tiles.items.begin(at: bench.time, limit: 16, &bench.tiles.files)
      let ended = step.actions.compactMap { action -> UInt64? in
        if case .gone(let entry) = action { entry.seq } else { nil }
      }
      #expect(ended.count <= 16)
      gone += ended
      isMore = step.isMore
      parts += 1
    }
    #expect(
      parts == 7 && Set(gone) == Set(entries.map(\.seq)).subtracting([entries[7].seq, entries[42].seq])
        && gone.count == 98)
    bench.close(1)
    bench.close(2)
    #expect(bench.tiles.items.count == 0)
  }

  @Test("a lower limit of tiles takes its many in parts, too")
  func fewerTiles() {
    var earlier = Bench()
    let entries = (0..<100).map { earlier.stage("f\($0)") }
    var bench = Bench(maxTiles: 10, firstGeneration: 100)
    for entry in entries {
      let isRestored = bench.restore(entry, order: entry.seq + 1)
      #expect(isRestored)
    }
    var parts = 0
    var isMore = true
    while isMore {
      let before = bench.tiles.items.tilesShown
      isMore = bench.tiles.items.begin(at: bench.time, limit: 16, &bench.tiles.files).isMore
      #expect(before - bench.tiles.items.tilesShown <= 16)
      parts += 1
    }
    #expect(parts == 6 && bench.tiles.items.tilesShown == 10)
  }

  @Test("a look goes on where the last call stopped; each item that moves is told once in it, each that went once")
  func look() async throws {
    try await World.run { world in
      var ids: [String] = []
      for number in 0..<20 { ids.append(try await world.stage("f\(number)").id) }
      let kept = ids
      @DispatchLoop func all() -> (changed: [String], gone: [String], calls: Int) {
        var told: (changed: [String], gone: [String], calls: Int) = ([], [], 0)
        var isMore = true
        while isMore {
          let look = world.volume.look(atMost: 6)
          #expect(look.changed.count <= 6 && look.gone.count <= 6)
          told = (told.changed + look.changed.map(\.id), told.gone + look.gone, told.calls + 1)
          isMore = look.isMore
        }
        return told
      }
      let first = all()
      #expect(first.changed == kept && first.gone.isEmpty && first.calls == 4)
      let second = all()
      #expect(second.changed.isEmpty && second.gone.isEmpty)
      _ = try await world.volume.unstageAll()
      let last = all()
      #expect(last.changed.isEmpty && Set(last.gone) == Set(kept) && last.gone.count == 20)
    }
  }

  @Test("unstaging all gives its items in parts, so that none is kept until the last one is sent")
  func unstageAll() async throws {
    try await World.run { world in
      var ids: [String] = []
      for number in 0..<70 { ids.append(try await world.stage("f\(number)").id) }
      let parts = try await world.volume.unstageAll()
      #expect(parts.map(\.count) == [32, 32, 6] && parts.flatMap { $0 }.map(\.id) == ids)
    }
  }
}
