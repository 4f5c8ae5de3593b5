import Core
import Testing
import Volume

@testable import OpenFiles
@testable import Staging

/// A control plane that died and the one after it.
@Suite("Inheritance")
struct InheritanceTests {
  @Test(
    "an open item goes on where it was: same lease, same file, its blocks, its readers; the next close begins the grace"
  )
  func takeUp() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      let node = try world.look(item).node
      _ = try world.open(item, 1)
      await settle()
      let first = try #require(world.stores.made.first)
      let lease = FakeInheritance(7, node: node, name: first.name, length: 1 << 20, marked: [0..<3, 5..<6])
      try await world.restart(Inheritance(handles: [HandleID(1): node, HandleID(2): node], leases: [lease]))
      #expect(world.host.revoked.isEmpty && world.row(item)?.openRef == 2)
      let store = try #require(world.stores.made.last)
      #expect(world.stores.made.count == 2 && store.name == first.name && store.identity == first.identity)
      guard case .marked(let blocks) = store.start else {
        Issue.record("\(store.start)")
        return
      }
      #expect(blocks == [0..<3, 5..<6])
      await settle()
      #expect(await store.look { $0.isFilling } == true)
      await store.look { $0.onBlocks?(3..<5, true) }
      #expect(lease.marks.withLock { $0 } == ["+3..<5"])

      let answers = Answers<ByteRange>()
      world.volume.read(node, handle: HandleID(1), range: ByteRange(0, 10), wasBad: false, reply: answers.readReply)
      await settle()
      await store.look { $0.answerReads() }
      #expect(answers.list == [.success(ByteRange(0, 10))])
      #expect(try world.open(item, 1).list == [.success(LeaseID(7))], "its OPEN was still in hand")
      #expect(try world.open(item, 3).list == [.success(LeaseID(7))])
      #expect(world.row(item)?.openRef == 3)
      for handle in 1...3 { world.close(UInt64(handle)) }
      await world.alarms.pass(.seconds(5))
      #expect(await store.look { $0.isFilling } == false)
    }
  }

  @Test(
    "an item that was unstaged while open is read on after a death, until its last close; its name is somebody else's")
  func leaving() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      let node = try world.look(item).node
      _ = try world.open(item, 1)
      await settle()
      _ = try await world.volume.unstage(item.id)
      let again = try await world.stage("f1")
      let store = world.stores.made[0]
      let lease = FakeInheritance(7, node: node, name: store.name, length: 1 << 20)
      try await world.restart(Inheritance(handles: [HandleID(1): node], leases: [lease]))
      #expect(world.volume.items().map(\.state) == [.leaving, .ready])
      #expect(try world.names() == [again.id] && again.id == item.id)
      #expect(try world.volume.attributes(of: node).size == 1 << 20)
      #expect(world.stores.made.last?.origin.recipient == "alice")
      world.close(1)
      await settle()
      #expect(world.volume.items().map(\.id) == [again.id] && world.host.revoked == [LeaseID(7)])
      #expect(throws: Errno.stale) { try world.volume.attributes(of: node) }
      try await world.restart()
      #expect(world.volume.items().map(\.id) == [again.id])
    }
  }

  @Test("an item that was unstaged and is open nowhere any more is gone after a death, and the kernel is told")
  func leftMeanwhile() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      let node = try world.look(item).node
      _ = try world.open(item, 1)
      await settle()
      _ = try await world.volume.unstage(item.id)
      let before = try world.volume.attributes(of: NodeID(2))
      world.host.isStuck = true
      let restart = Task { @DispatchLoop in try await world.restart() }
      try await restart.value
      #expect(world.host.owed.count == 1)
      #expect(world.volume.items().isEmpty)
      #expect(
        try world.volume.attributes(of: NodeID(2)).modified > before.modified,
        "or a listing that the kernel keeps stands")
      #expect(throws: Errno.stale) { try world.volume.attributes(of: node) }
      // The invalidation is not acknowledged: the next control plane sends it again.
      await world.volume.journal.close()
      #expect(try rows(world) == [[0, 1]])
      world.host.isStuck = false
      world.host.owed = []
      try await world.restart()
      await world.volume.journal.close()
      #expect(try rows(world).isEmpty)
    }
  }

  @DispatchLoop private func rows(_ world: World) throws -> [[Int64]] {
    var rows: [[Int64]] = []
    try SQLite(path: world.journalPath).run("SELECT seq, leaving FROM items ORDER BY seq") {
      rows.append([$0.integer(0), $0.integer(1)])
    }
    return rows
  }

  @Test(
    "unstaged means written: whatever instant the death comes after, an item is as before or as after",
    arguments: [false, true])
  func everyStep(isOpen: Bool) async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      let node = try world.look(item).node
      if isOpen { _ = try world.open(item, 1) }
      await settle()
      let volume = world.volume
      world.host.isStuck = true
      // It dies after the journal was written and before the kernel has acknowledged: the caller was not told that it
      // is unstaged.
      let unstaging = Task { @DispatchLoop in try await volume.unstage(item.id) }
      while world.host.owed.isEmpty { await Task.yield() }
      try await world.restart(Inheritance(handles: isOpen ? [HandleID(1): node] : [:]))
      #expect(try world.names().isEmpty)
      #expect(world.volume.items().count == (isOpen ? 1 : 0))
      world.host.getUnstuck()
      _ = try await unstaging.value
    }
  }

  @Test("handles of nodes nobody knows are counted nowhere, and their reads are ESTALE")
  func strangers() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      let directory = NodeID(try world.look(item).node.rawValue - 1)
      let strange: [HandleID: NodeID] = [
        HandleID(1): NodeID(999), HandleID(2): NodeID(0), HandleID(3): .root, HandleID(4): NodeID(2),
        HandleID(5): directory,
        HandleID(6): NodeID(.max),
      ]
      try await world.restart(Inheritance(handles: strange))
      #expect(!world.volume.isBusy && world.row(item)?.openRef == 0)
      let answers = Answers<ByteRange>()
      for node in strange.values {
        world.volume.read(node, handle: HandleID(1), range: ByteRange(0, 10), wasBad: false, reply: answers.readReply)
      }
      #expect(answers.list == Array(repeating: .failure(.stale), count: 6))
      for handle in strange.keys { world.close(handle.rawValue) }
      #expect(world.row(item)?.openRef == 0)
    }
  }

  @Test("a lease is taken up only for what it says; all others are revoked, and their files unlinked")
  func refusedLeases() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      let other = try await world.stage("f2")
      let (node, otherNode) = (try world.look(item).node, try world.look(other).node)
      func name(_ generation: UInt64, _ node: NodeID) -> String {
        String(repeating: "0", count: 16 - String(node.rawValue, radix: 16).count) + String(node.rawValue, radix: 16)
          + "-\(String(generation, radix: 16)).bytes"
      }
      let size: Int64 = 1 << 20
      let leases = [
        FakeInheritance(1, node: node, name: "marker", length: size),
        FakeInheritance(2, node: node, name: "../" + name(1, node), length: size),
        FakeInheritance(3, node: node, name: name(1, otherNode), length: size),
        FakeInheritance(4, node: node, name: name(2, node), length: size - 1),
        FakeInheritance(5, node: node, root: 1, name: name(3, node), length: size),
        FakeInheritance(6, node: NodeID(999), name: name(4, NodeID(999)), length: size),
        FakeInheritance(7, node: node, name: name(1 << 40, node), length: size),
        FakeInheritance(8, node: node, name: name(5, node), length: size),
        FakeInheritance(9, node: node, name: name(7, node), length: size),
        FakeInheritance(10, node: node, name: name(6, node), length: size),
      ]
      for lease in leases { if let file = BytesFile(lease.name) { world.leave(file, size: size) } }
      try await world.restart(Inheritance(leases: leases))
      #expect(world.host.revoked.map(\.rawValue).sorted() == [1, 2, 3, 4, 5, 6, 7, 8, 10])
      #expect(world.stores.made.map(\.name) == [name(7, node)], "the later of two")
      // A generation that was never drawn is no file of an earlier run's.
      let left = [name(1 << 40, node), name(7, node)]
      #expect(await world.files(left) == left)
    }
  }

  @Test("a lease whose file cannot be opened is revoked; the next open makes a new store, and people see no failure")
  func noFile() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      let node = try world.look(item).node
      world.stores.state.withLock { $0.error = .failed(.noEntry, "gone") }
      let lease = FakeInheritance(7, node: node, name: "0000000000000011-1.bytes", length: 1 << 20)
      try await world.restart(Inheritance(handles: [HandleID(1): node], leases: [lease]))
      #expect(world.host.revoked == [LeaseID(7)])
      #expect(world.row(item)?.state == .open)
      world.stores.state.withLock { $0.error = nil }
      let answers = try world.open(item, 1)
      await settle()
      #expect(answers.list == [.success(LeaseID(1))])
      #expect(world.stores.made.last?.name != lease.name)
    }
  }

  @Test(
    "an open item outlives a start with fewer tiles and no grace; a lowered one that is open nowhere gets its grace from the start on"
  )
  func fewerTiles() {
    var earlier = Bench()
    let entries = ["A", "B", "C"].map { earlier.stage($0) }
    var bench = Bench(maxTiles: 1, firstGeneration: 100)
    for (entry, order) in zip(entries, [1, 0, 3] as [UInt64]) {
      let isRestored = bench.restore(entry, order: order)
      #expect(isRestored)
    }
    bench.begin([HandleID(1): entries[0].file, HandleID(2): entries[0].file])
    #expect(bench.refs(entries[0]) == [0, 2] && bench.refs(entries[1]) == [0, 0] && bench.refs(entries[2]) == [1, 0])
    bench.pass(5)
    #expect(bench.refs(entries[1]) == nil)
    bench.close(1)
    bench.pass(60)
    #expect(bench.refs(entries[0]) == [0, 1])
    bench.close(2)
    bench.pass(5)
    #expect(bench.refs(entries[0]) == nil)
  }

  @Test(
    "a store taken up for nobody stays for a grace; what was read before the death is not known, so nothing is dropped for it"
  )
  func idleStore() throws {
    var earlier = Bench()
    let entry = earlier.stage("A")
    var bench = Bench(afterUpload: .unstage, firstGeneration: 100)
    let isRestored = bench.restore(entry, order: 1)
    #expect(isRestored)
    bench.begin()
    let generation = StoreGeneration(rawValue: 7)
    let name = BytesFile(entry.key, generation).name
    #expect(bench.tiles.accepts(name, node: entry.file, length: 100)?.generation == generation)
    bench.tiles.takeUp(entry.seq, generation, at: bench.time)
    #expect(bench.tiles.accepts(name, node: entry.file, length: 100) == nil, "twice")
    bench.asked = bench.tiles.storeMade(generation, at: bench.time)
    #expect(bench.asked == [.setFilling(generation, false)])
    bench.pass(4)
    bench.open(entry, 1)
    #expect(bench.asked == [.setFilling(generation, true), .answer(HandleID(1), .store(generation))])
    bench.close(1)
    bench.pass(5)
    #expect(bench.asked == [.parkStore(generation)] && bench.refs(entry) == [1, 0])
    _ = try bench.parked()
    bench.open(entry, 1)
    _ = try bench.made()
    bench.asked = bench.tiles.released(HandleID(1), use: HandleUse(bytes: 100, furthest: 100), at: bench.time)
    bench.pass(5)
    #expect(bench.refs(entry) == nil, "read whole through a handle that was closed in this run")
  }

  @Test(
    "no OPEN of an item without bytes is answered before the kernel has forgotten the pages of those that the dead one may have dropped"
  )
  func droppedPages() throws {
    var earlier = Bench()
    let entries = [earlier.stage("idle"), earlier.stage("open"), earlier.stage("empty", size: 0)]
    var bench = Bench(firstGeneration: 100)
    for entry in entries {
      let isRestored = bench.restore(entry, order: entry.seq + 1)
      #expect(isRestored)
    }
    bench.begin([HandleID(9): entries[1].file])
    bench.tiles.files.inherit(.staged)
    bench.open(entries[0], 1)
    #expect(bench.asked == [.forgetPages(entries[0].file, StoreGeneration(rawValue: 100))])
    bench.asked = bench.tiles.pagesForgotten(StoreGeneration(rawValue: 100), at: bench.time)
    #expect(bench.asking != nil)
  }

  // MARK: Files without leases

  @Test("after a death of everything the latest file with good sums waits for the item's first open; all else is swept")
  func leftovers() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      let other = try await world.stage("f2")
      _ = try world.open(item, 1)
      _ = try world.open(other, 2)
      await settle()
      let size: Int64 = 1 << 20
      let (mine, others) = (world.stores.made[0], world.stores.made[1])
      let file = try #require(BytesFile(mine.name))
      var older = file
      older.generation.rawValue -= 1
      let foreign = try #require(BytesFile("0000000000000fff-1.bytes"))
      world.leave(file, size: size, sumsOf: mine.identity)
      world.leave(older, size: size, sumsOf: mine.identity)
      world.leave(foreign, size: size, sumsOf: mine.identity)
      // Another item's bytes under the same number.
      world.leave(try #require(BytesFile(others.name)), size: size, sumsOf: others.identity ^ 1)
      try await world.restart()
      let kept = [file.name, file.with(.sums).name]
      #expect(await world.files(kept) == kept)

      _ = try world.open(item, 1)
      _ = try world.open(other, 2)
      await settle()
      let starts = world.stores.made.suffix(2).map { store -> String? in
        if case .left(let name) = store.start { name } else { nil }
      }
      #expect(starts == [file.name, nil])
      #expect(world.stores.made[2].name != file.name)
    }
  }

  @Test("what was kept goes with its item, and with a stop", arguments: [true, false])
  func leftoverGoes(byUnstaging: Bool) async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      _ = try world.open(item, 1)
      await settle()
      let store = world.stores.made[0]
      world.leave(try #require(BytesFile(store.name)), size: 1 << 20, sumsOf: store.identity)
      try await world.restart()
      #expect(await world.files([]).count == 2)
      if byUnstaging { _ = try await world.volume.unstage(item.id) } else { await world.volume.remove(forget: false) }
      #expect(await world.files([]).isEmpty)
    }
  }

  @Test("a start that failed halfway touches no file: somebody may be reading them")
  func notBegun() async throws {
    try await World.run { world in
      world.leave(try #require(BytesFile("0000000000000011-1.bytes")), size: 10)
      await world.volume.journal.close()
      let volume = try await world.reopen()
      await volume.remove(forget: false)
      #expect(await world.files(["0000000000000011-1.bytes"]).count == 1)
      try await world.restart()
      #expect(await world.files([]).isEmpty)
    }
  }
}
