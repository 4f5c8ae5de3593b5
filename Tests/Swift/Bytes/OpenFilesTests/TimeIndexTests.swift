import Core
import Testing
import Volume

@testable import OpenFiles

@Suite("Files by a time")
struct TimeIndexTests {
  private func key(_ node: UInt64) -> FileKey { FileKey(VolumeID(7), NodeID(node)) }

  @Test("files of one time have slots of their own, in the order in which they came, and never slot 0")
  func sameTime() {
    var index = TimeIndex()
    let slots = (0..<2000).map { index.insert(key(UInt64($0)), at: 0) }
    #expect(slots == Array(1...2000))
    index.remove(slots[700])
    #expect(index.insert(key(9000), at: 0) == slots[700], "the first slot that is free")
    #expect(index.keys.prefix(3) == [key(0), key(1), key(2)] && index.count == 2000)
  }

  @Test("the earliest is first, and the one after it where the earliest is left out")
  func order() {
    var index = TimeIndex()
    let late = index.insert(key(1), at: 300)
    _ = index.insert(key(2), at: 100)
    _ = index.insert(key(3), at: 200)
    #expect(
      index.first?.key == key(2) && index.first(except: key(2)) == key(3) && index.first(except: key(1)) == key(2))
    index.remove(late)
    #expect(index.keys == [key(2), key(3)])
  }
}
