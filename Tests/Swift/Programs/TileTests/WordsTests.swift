import ControlClient
import ControlModel
import Testing

@testable import fsmvp_tile

@Suite("What a tile says")
struct WordsTests {
  private typealias Reader = StagedItem.Reader

  @Test(
    "its state in words",
    arguments: [
      (item("a"), "Ready: drag it into an upload zone"),
      (item("a") { ($0.state, $0.openRef) = (.open, 1) }, "Somebody is reading it"),
      (
        item("a") { ($0.state, $0.readers) = (.open, [Reader(pid: 1, process: "chromium", position: 5)]) },
        "chromium is reading it"
      ),
      (
        item("a") {
          $0.state = .open; $0.readers = ["mpv", "cp", "mpv"].map { Reader(pid: 1, process: $0, position: 5) }
        },
        "mpv and cp are reading it"
      ),
      (
        item("a") {
          $0.state = .open; $0.readers = ["mpv", "cp", "", "vlc"].map { Reader(pid: 1, process: $0, position: 5) }
        },
        "mpv and 2 others are reading it"
      ),
      (item("a") { ($0.state, $0.failure) = (.failed, "the link is over") }, "The link is over."),
      (item("a") { $0.state = .failed }, "The last fetch gave up. The next read tries again."),
      (item("a") { $0.state = .leaving }, "Removed; somebody is reading it to the end"),
      (item("a") { $0.bytesRead = 1000 }, "Read to its end; drag it again as you like"),
      (item("a") { ($0.pinned, $0.bytesFetched) = (true, 10) }, "Being fetched, to be kept here"),
      (item("a") { ($0.pinned, $0.bytesFetched) = (true, 1000) }, "Ready: drag it into an upload zone"),
    ])
  func state(_ item: StagedItem, _ words: String) { #expect(Words.state(item) == words) }

  @Test("figures: only of what moves, and what a person asked for")
  func figures() {
    #expect(Words.rate(nil) == "" && Words.rate(0) == "")
    #expect(Words.rate(5 << 19) == "2.5 MiB/s")
    #expect(Words.left(item("a")) == "")
    #expect(Words.left(item("a") { $0.etaSeconds = 75 }) == "1 min left")
    #expect(Words.size(item("a")) == "1000 B" && Words.size(item("a") { $0.pinned = true }) == "1000 B · pinned")
    #expect(Words.whole(item("a")) == "video.mp4, for someone, 1000 B. Ready: drag it into an upload zone.")
  }

  @Test(
    "spans of time",
    arguments: [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3570, "60 min"), (3600, "1 h"), (4800, "1 h 20 min")])
  func spans(_ seconds: Int64, _ words: String) { #expect(Words.span(seconds) == words) }

  @Test("names, tags and reasons cannot steer: not the eye, not a menu")
  func hostile() {
    let evil = item("a") {
      ($0.name, $0.recipient, $0.state, $0.failure) = ("a\u{202e}b\nc", "x\ty", .failed, "bad \u{1b}[2J")
    }
    #expect(Words.name(evil) == "a\u{FFFD}b\u{FFFD}c")
    #expect(Words.recipient(evil) == "for x\u{FFFD}y")
    #expect(Words.state(evil) == "Bad \u{FFFD}[2J.")
    #expect(Words.menuText("_a_b__") == "__a__b____")
  }

  @Test("sentences have a capital and an end")
  func sentences() {
    #expect(Words.sentence("it broke") == "It broke.")
    #expect(Words.sentence("Yes!") == "Yes!")
    #expect(Words.sentence("") == "")
  }

  @Test("closing tells how many go on")
  func closing() {
    #expect(Words.closing(1).question == "An upload is running")
    #expect(Words.closing(3).question == "3 uploads are running")
    #expect(Words.closing(3).detail.hasPrefix("They go on even if this window closes."))
  }
}
