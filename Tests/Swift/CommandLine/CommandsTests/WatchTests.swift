import ControlClient
import ControlModel
import Core
import Syntax
import TerminalUI
import Testing

@testable import Commands
@testable import ControlAPIFakes

@Suite("What status --watch shows")
struct WatchTests {
  private static let now = Moment(nanoseconds: 5_000_000_000)

  private static func item(_ id: String, _ change: (inout StagedItem) -> Void = { _ in }) -> StagedItem {
    var item = StagedItem(
      id: id, path: "/mnt/\(id)/a.mp4", fileId: "f", name: "a.mp4", size: 1000, recipient: "Jane", state: .ready,
      tileRef: 1, openRef: 0,
      bytesFetched: 0, bytesServed: 0, failure: nil)
    change(&item)
    return item
  }

  private func watch(_ items: [StagedItem], columns: Int = 80, rows: Int = 24) -> Watch {
    var watch = Watch()
    watch.size = Terminal.Size(columns: columns, rows: rows)
    _ = watch.hear(.event(.snapshot(ControlSnapshot(status: .example, items: items, cache: .example))), at: Self.now)
    return watch
  }

  private func lines(_ watch: Watch, at now: Moment = now) -> [String] {
    watch.frame(at: now).lines.map { $0.plain.trimmed }
  }

  @Test("the head, an item at rest, one that is read, one that failed")
  func frame() {
    let items = [
      Self.item("1"),
      Self.item("2") {
        ($0.state, $0.openRef, $0.bytesFetched, $0.bytesRead) = (.open, 1, 750, 250)
        ($0.fetchRate, $0.readRate, $0.etaSeconds) = (2048, 1024, 75)
        $0.readers = [.init(pid: 12, process: "chromium", position: 250)]
      },
      Self.item("3") { ($0.state, $0.failure) = (.failed, "no route") },
    ]
    let lines = lines(watch(items, columns: 90), at: Self.now + .seconds(5))
    #expect(lines[0] == "FuseStream  serving  up 1 h 2 min")
    #expect(lines[1] == "3 staged, 2 open  cache 10 MiB of 70 GiB  ↓ 2 KiB/s  ↑ 1 KiB/s")
    #expect(lines[2] == "/mnt/x")
    #expect(lines[4].hasPrefix("a.mp4  for Jane") && lines[4].hasSuffix("read by chromium (12)"))
    #expect(
      lines[5] == "  Fetched  " + String(repeating: "█", count: 30) + String(repeating: "░", count: 10)
        + "  75 %  2 KiB/s  750 B of 1000 B"
    )
    #expect(
      lines[6] == "  Read     " + String(repeating: "█", count: 10) + String(repeating: "░", count: 30)
        + "  25 %  1 KiB/s  1 min 15 s left  250 B of 1000 B")
    #expect(lines[8].hasSuffix("failed: no route  1000 B"))
    #expect(lines[9].hasSuffix("ready  1000 B"))
    #expect(lines[23] == "↑ ↓ scroll  q leave")
  }

  @Test("what became of an item is a line, and the same is not said twice")
  func changes() {
    var watch = Watch()
    func hear(_ event: ControlEvent) -> [String] { watch.hear(.event(event), at: Self.now) }
    #expect(
      hear(.snapshot(ControlSnapshot(status: .example, items: [Self.item("1")], cache: nil)))
        == ["status: serving, 1 staged, 2 open", "1 ready; fetched 0 %, read 0 %: a.mp4, for Jane"])
    #expect(hear(.item(Self.item("1"))) == [])
    #expect(hear(.item(Self.item("1") { $0.bytesFetched = 4 })) == [])
    #expect(
      hear(.item(Self.item("1") { $0.bytesFetched = 999 })) == ["1 ready; fetched 99 %, read 0 %: a.mp4, for Jane"])
    var status = ControlStatus.example
    status.uptimeSeconds += 1
    #expect(hear(.status(status)) == [])
    (status.openHandles, status.sleepInhibited) = (3, true)
    #expect(hear(.status(status)) == ["status: serving, 1 staged, 3 open, sleep held off"])
    #expect(hear(.notice(Notice(.error, code: "item_failed", "a.mp4: no"))) == ["error: a.mp4: no"])
    let gone = ClientFailure(.noControlPlane, "the control plane has ended")
    #expect(watch.hear(.lost(gone), at: Self.now) == ["lost: the control plane has ended"])
    #expect(watch.hear(.lost(gone), at: Self.now) == [])
    #expect(
      hear(.snapshot(ControlSnapshot(status: status, items: [Self.item("2")], cache: nil)))
        == ["back", "1 gone", "2 ready; fetched 0 %, read 0 %: a.mp4, for Jane"])
    #expect(hear(.gone(ItemGone(id: "2"))) == ["2 gone"])
    #expect(watch.items == [])
  }

  @Test(
    "a state in words",
    arguments: [
      (item("1"), "ready"), (item("1") { $0.pinned = true }, "ready, pinned"),
      (item("1") { $0.bytesRead = 1000 }, "read to its end"),
      (item("1") { ($0.fetchRate, $0.bytesFetched) = (5, 10) }, "being fetched"),
      // A rate is an average: nothing is fetched any more.
      (item("1") { ($0.fetchRate, $0.bytesFetched) = (5, 1000) }, "ready"),
      (item("1") { ($0.state, $0.openRef) = (.open, 1) }, "read by one"),
      (item("1") { ($0.state, $0.openRef) = (.leaving, 3) }, "unstaged, still read by 3"),
      (
        item("1") {
          ($0.state, $0.openRef) = (.open, 5)
          $0.readers = [1, 1, 2, 3, 4].map { .init(pid: $0, process: $0 == 2 ? "" : "cp", position: 0) }
        }, "read by cp (1), pid 2 and 2 more"
      ),
    ] as [(StagedItem, String)])
  func words(item: StagedItem, words: String) { #expect(Watch.words(item) == words) }

  @Test("a thousand items: what moves first, then the newest; the rest is counted")
  func many() {
    var items = (0..<1000).map { Self.item("\($0)") }
    items[3] = Self.item("3") { ($0.state, $0.openRef, $0.name) = (.open, 1, "moving.mp4") }
    items[999].name = "newest.mp4"
    var watch = watch(items, rows: 14)
    #expect(lines(watch)[4].hasPrefix("moving.mp4"))
    #expect(lines(watch)[8].hasPrefix("newest.mp4"))
    #expect(lines(watch)[12] == "… and 995 more")
    #expect(watch.take(.text("jj")) == .scrolled)
    #expect(watch.skipped == 2)
    #expect(watch.take(.end) == .scrolled)
    #expect(watch.ordered.dropFirst(watch.skipped).count == 1)
    #expect(watch.take(.text("q")) == .leave)
    #expect(watch.take(.control("c")) == .interrupt)
    #expect(watch.take(.enter) == .none)
  }

  @Test("any terminal will do", arguments: [(1, 1), (5, 3), (20, 8), (300, 90)])
  func sizes(columns: Int, rows: Int) {
    let items = (0..<30).map { number in
      Self.item("\(number)") { if number % 2 == 0 { ($0.state, $0.openRef) = (.open, 1) } }
    }
    var watch = watch(items, columns: columns, rows: rows)
    _ = watch.hear(.event(.notice(Notice(.info, code: "x", "something"))), at: Self.now)
    let lines = watch.frame(at: Self.now).lines
    #expect(lines.count <= rows)
    #expect(lines.allSatisfy { $0.cut(to: columns).width <= columns })
  }

  @Test("waiting for a file that is fetched")
  func waiting() {
    var state = FetchWait.State(Self.item("1") { $0.pinned = true })
    #expect(!state.isOver)
    state.hear(.event(.item(Self.item("2") { $0.bytesFetched = 1000 })), at: Self.now)
    state.hear(
      .event(.item(Self.item("1") { ($0.pinned, $0.bytesFetched, $0.fetchRate) = (true, 500, 100) })), at: Self.now)
    #expect(!state.isOver)
    #expect(state.text.plain.contains(" 50 %  500 B of 1000 B  100 B/s"))
    state.hear(.lost(ClientFailure(.noControlPlane, "gone")), at: Self.now)
    #expect(state.lostSince == Self.now)
    state.hear(.lost(ClientFailure(.noControlPlane, "gone")), at: Self.now + .seconds(1))
    #expect(state.lostSince == Self.now)
    for (item, code) in [
      (Self.item("1") { ($0.pinned, $0.state, $0.failure) = (true, .failed, "no") }, ExitCode.service),
      (Self.item("1"), .failed),
      (Self.item("1") { $0.state = .leaving }, .noSuchThing),
    ] {
      var other = state
      other.hear(.event(.item(item)), at: Self.now)
      #expect(other.isOver && other.failure?.code == code)
    }
    var gone = state
    gone.hear(.event(.snapshot(ControlSnapshot(status: .example, items: [], cache: nil))), at: Self.now)
    #expect(gone.failure?.code == .noSuchThing)
    state.hear(.event(.item(Self.item("1") { ($0.pinned, $0.bytesFetched) = (true, 1000) })), at: Self.now)
    #expect(state.isOver && state.failure == nil)
  }
}
