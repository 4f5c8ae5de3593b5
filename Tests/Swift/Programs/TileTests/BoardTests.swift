import ControlModel
import Support
import Testing

@testable import fsmvp_tile

func item(_ id: String, _ change: (inout StagedItem) -> Void = { _ in }) -> StagedItem {
  var item = StagedItem(
    id: id, path: "/mnt/Staged/\(id)/video.mp4", fileId: "f" + id, name: "video.mp4", size: 1000, recipient: "someone",
    state: .ready,
    tileRef: 1, openRef: 0, bytesFetched: 0, bytesServed: 0, failure: nil)
  change(&item)
  return item
}

private func snapshot(_ items: [StagedItem]) -> ControlEvent {
  let shim = ControlStatus.Shim(state: .serving, pid: 1, epoch: 1, restarts: 0)
  return .snapshot(
    ControlSnapshot(
      status: ControlStatus(pid: 1, shim: shim, mount: "/mnt", socket: "/s", uptimeSeconds: 1), items: items, cache: nil
    ))
}

@Suite("The board of items")
struct BoardTests {
  @Test("shows the newest first, and a new item above all")
  func order() {
    var board = Board()
    #expect(board.apply(snapshot([item("a"), item("b")])) == [.spliced(at: 0, removed: 0, added: ["b", "a"])])
    #expect(board.apply(.item(item("c"))) == [.spliced(at: 0, removed: 0, added: ["c"])])
    #expect(board.ids == ["c", "b", "a"])
  }

  @Test("says of an item that changed, and nothing of one that did not")
  func change() {
    var board = Board()
    _ = board.apply(snapshot([item("a"), item("b")]))
    #expect(board.apply(.item(item("a"))) == [])
    #expect(board.apply(.item(item("a") { $0.openRef = 1 })) == [.item("a")])
    #expect(board.openCount == 1)
  }

  @Test("takes away what is gone, once")
  func gone() {
    var board = Board()
    _ = board.apply(snapshot([item("a"), item("b"), item("c")]))
    #expect(board.apply(.gone(ItemGone(id: "b"))) == [.spliced(at: 1, removed: 1, added: [])])
    #expect(board.apply(.gone(ItemGone(id: "b"))) == [])
    #expect(board.ids == ["c", "a"] && board.items["b"] == nil)
  }

  @Test("a snapshot after a break touches only the rows that differ")
  func reconnection() {
    var board = Board()
    _ = board.apply(snapshot([item("a"), item("b"), item("c"), item("d")]))
    #expect(board.apply(snapshot([item("a"), item("b"), item("c"), item("d")])) == [])
    let later = [item("a"), item("c") { $0.pinned = true }, item("d"), item("e")]
    #expect(board.apply(snapshot(later)) == [.spliced(at: 0, removed: 3, added: ["e", "d", "c"])])
    #expect(
      board.apply(snapshot([item("a") { $0.pinned = true }, item("c") { $0.pinned = true }, item("e")])) == [
        .spliced(at: 1, removed: 1, added: []), .item("a"),
      ])
  }

  @Test("of one item alone hears of no other")
  func alone() {
    var board = Board(only: "b")
    #expect(
      board.apply(snapshot([item("a"), item("b"), item("c") { $0.openRef = 2 }])) == [
        .spliced(at: 0, removed: 0, added: ["b"])
      ])
    #expect(board.apply(.item(item("d"))) == [])
    #expect(board.openCount == 0)
    #expect(board.apply(snapshot([item("a")])) == [.spliced(at: 0, removed: 1, added: [])])
    #expect(board.items.isEmpty)
  }

  @Test("random histories: the splices, done to a list, give the board's order")
  func model() {
    var random = SystemRandomNumberGenerator()
    let seed = UInt64.random(in: 0...UInt64.max, using: &random)
    var generator = SplitMix(seed: seed)
    var board = Board()
    var shown: [String] = []
    for _ in 0..<2000 {
      let ids = (0..<12).map { "i\($0)" }
      let event: ControlEvent
      switch Int.random(in: 0..<4, using: &generator) {
      case 0:
        event = snapshot(
          ids.filter { _ in Bool.random(using: &generator) }.shuffled(using: &generator).map { item($0) })
      case 1: event = .gone(ItemGone(id: ids.randomElement(using: &generator)!))
      default:
        event = .item(
          item(ids.randomElement(using: &generator)!) { $0.bytesRead = Int64.random(in: 0...3, using: &generator) })
      }
      for case .spliced(let at, let removed, let added) in board.apply(event) {
        shown.replaceSubrange(at..<(at + removed), with: added)
      }
      guard shown == board.ids, Set(shown) == Set(board.items.keys) else {
        Issue.record("seed \(seed): \(shown) is not \(board.ids)")
        return
      }
    }
  }
}
