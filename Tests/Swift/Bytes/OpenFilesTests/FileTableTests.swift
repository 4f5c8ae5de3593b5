import Core
import Testing
import Volume

@testable import OpenFiles

@Suite("The table of files")
struct FileTableTests {
  private static let volume = VolumeID(7)
  private func key(_ node: UInt64) -> FileKey { FileKey(Self.volume, NodeID(node)) }
  private func generation(_ number: UInt64) -> StoreGeneration { StoreGeneration(rawValue: number, of: Self.volume) }
  private func time(_ seconds: UInt64) -> FileTime {
    FileTime(now: Moment(nanoseconds: seconds * 1_000_000_000), wall: 0)
  }
  private func parked(_ node: UInt64, bytes: Int64, stamp: UInt64?) -> ParkedFile {
    ParkedFile(file: BytesFile(key(node), generation(node)), bytes: bytes, isComplete: true, stamp: stamp)
  }

  /// The nodes that a look comes to.
  private func moving(_ table: FileTable) -> [UInt64] {
    var (nodes, from): ([UInt64], UInt64) = ([], 0)
    while let node = table.nextMoving(Self.volume, from: from) { (nodes, from) = (nodes + [node], node + 1) }
    return nodes
  }

  @Test("a look comes to each file with a store, and once to one that changed")
  func looks() {
    var table = FileTable(idleEvict: .zero)
    table.edit(key(3), size: 10) { $0.make(generation(1)) }
    table.edit(key(5), size: 10) { $0.pin() }
    #expect(moving(table) == [3], "changes are not noted yet")
    table.noteChanges(of: Self.volume)
    table.edit(key(5)) { $0.unpin(at: time(1)) }
    table.edit(key(3)) { _ = $0.stand(generation(1), isWindow: false) }
    #expect(moving(table) == [3, 5])
    for node in [UInt64(3), 5] { table.noteLook(key(node)) }
    #expect(moving(table) == [3], "its store stands")
    table.edit(key(3)) { $0.park(parked(3, bytes: 10, stamp: 1)) }
    #expect(moving(table) == [3], "it changed")
    table.noteLook(key(3))
    #expect(moving(table).isEmpty && table.nextMoving(VolumeID(8), from: 0) == nil)
  }

  @Test("bytes that an earlier run left go first, then those closed longest ago; what each frees is summed")
  func droppable() {
    var table = FileTable(idleEvict: .zero)
    for node in UInt64(1)...4 {
      table.edit(key(node), size: 100) {
        $0.keep(parked(node, bytes: Int64(node), stamp: node == 4 ? nil : node), at: time(10 - node))
      }
    }
    #expect(table.firstDroppable(except: nil, warm: false) == key(4))
    #expect(table.firstDroppable(except: key(4), warm: false) == key(3))
    #expect(table.droppableCount == 4 && table.droppableWeight(except: key(4), warm: false) == 6)
    #expect(table.left == (1, 4) && table.parkedBytes == 10)
    table.edit(key(3)) { $0.pin() }
    #expect(table.firstDroppable(except: key(4), warm: false) == key(2), "a pinned file does not go")
    _ = table.remove(key(4))
    #expect(table.droppableCount == 2 && table.parkedBytes == 6 && table.left == (0, 0))
  }

  @Test("stores are counted while they are made, stand and are parked")
  func held() {
    var table = FileTable(idleEvict: .zero)
    table.edit(key(1), size: 100) { $0.make(generation(1)) }
    #expect(table.held == 1 && table.owner(of: generation(1)) == key(1) && table.resters == 0)
    table.edit(key(1)) { _ = $0.stand(generation(1), isWindow: false) }
    #expect(table.held == 1 && table.resters == 1 && table.oldestRester == key(1))
    table.edit(key(1)) { $0.beginParking(generation(1)) }
    #expect(table.held == 1 && table.parking == 1 && table.resters == 0)
    table.edit(key(1)) { $0.park(parked(1, bytes: 5, stamp: 1)) }
    #expect(table.held == 0 && table.parking == 0 && table.owner(of: generation(1)) == nil && table.parkedBytes == 5)
  }
}
