import ControlModel
import Testing

@testable import Commands
@testable import ControlAPIFakes
@testable import Syntax

@Suite("Tables and text for people")
struct TableTests {
  private static let page = MediaHubPage(
    jobs: [
      MediaHubJob(
        id: "j1", name: "Holiday in Österreich",
        outputs: [
          MediaHubOutput(fileId: "f1", name: "holiday.mp4", size: 1_610_612_736, contentType: "video/mp4"),
          MediaHubOutput(fileId: "f2", name: "日本.mp4", size: 17, contentType: "video/mp4"),
        ]),
      MediaHubJob(id: "j22", name: "two\nlines", outputs: []),
    ], total: 57, start: 20, limit: 2)

  @Test("jobs, whole")
  func jobs() {
    #expect(
      JobsVerb.text(Self.page, query: .init(search: "it's", start: 20, limit: 2), width: nil) == """
        JOB  NAME                   FILE  OUTPUT          SIZE
        j1   Holiday in Österreich  f1    holiday.mp4  1.5 GiB
        j1   Holiday in Österreich  f2    日本.mp4        17 B
        j22  two\u{fffd}lines              -     (no output)        -
        Showing 21-22 of 57; next: fsmvp jobs --search='it'\\''s' --start 22 --limit 2

        """)
  }

  @Test("jobs, cut to a narrow terminal: names give way, ids stay")
  func narrow() {
    let text = JobsVerb.text(Self.page, query: .init(start: 20), width: 44)
    #expect(
      text == """
        JOB  NAME         FILE  OUTPUT          SIZE
        j1   Holiday in…  f1    holiday.mp4  1.5 GiB
        j1   Holiday in…  f2    日本.mp4        17 B
        j22  two\u{fffd}lines    -     (no output)        -
        Showing 21-22 of 57; next: fsmvp jobs --start 22

        """)
    for width in [1, 10, 30] {
      #expect(JobsVerb.text(Self.page, query: .init(), width: width).contains("f1"))
    }
  }

  @Test("where there is nothing to list, a sentence says why")
  func none() {
    func text(total: Int, start: Int = 0, search: String? = nil) -> String {
      JobsVerb.text(
        MediaHubPage(jobs: [], total: total, start: start, limit: 20), query: .init(search: search, start: start),
        width: nil)
    }
    #expect(text(total: 0) == "There are no finished jobs.\n")
    #expect(text(total: 0, search: "x") == "No finished job has “x” in its name.\n")
    #expect(text(total: 57, start: 60) == "Nothing from 60 on: there are 57; first: fsmvp jobs\n")
  }

  @Test("the last page names no next one, and hostile numbers harm nobody")
  func last() {
    var page = Self.page
    page.total = 22
    #expect(JobsVerb.text(page, query: .init(start: 20), width: nil).hasSuffix("Showing 21-22 of 22\n"))
    page.start = .max
    page.jobs[0].outputs[0].size = .min
    _ = JobsVerb.text(page, query: .init(), width: nil)
  }

  @Test("staged items")
  func staged() {
    let items = [
      StagedItem.example(), .example(id: "i22", size: 0, bytesFetched: 0),
      .example(id: "i3", bytesFetched: 0, failure: "the link\nis gone"),
    ]
    #expect(
      StagedVerb.text(items, width: nil) == """
        ID   NAME       RECIPIENT    SIZE  FETCHED  GIVEN TO KERNEL  STATE   PINNED  PATH
        i1   video.mp4  alice      1000 B     99 %            2 KiB  ready   no      /mnt/x/Staged/i1/video.mp4
        i22  video.mp4  alice         0 B    100 %            2 KiB  ready   no      /mnt/x/Staged/i22/video.mp4
        i3   video.mp4  alice      1000 B      0 %            2 KiB  failed  no      /mnt/x/Staged/i3/video.mp4
        i3: the link\u{fffd}is gone

        """)
    #expect(StagedVerb.text([], width: nil).hasPrefix("Nothing is staged"))
    #expect(StagedVerb.text(items, width: 20).contains("/mnt/x/Staged/i22/video.mp4"))
  }

  @Test("status")
  func status() {
    #expect(
      StatusVerb.text(.example) == """
        control plane    pid 41, version 9.9.9, up 1 h 2 min
        shim             serving, pid 42, epoch 3, 2 restarts
        standby          pid 43
        last outage      1.3 ms
        mount            /mnt/x
        socket           /run/x/api.sock
        staged           1 item, 2 open handles
        fetched          1 GiB
        given to kernel  5 B, read-ahead included
        reads            6 answered by the shim alone
        requests         7 forwarded, 9 cancelled, 8 without a free slot

        """)
  }

  @Test("a status says where no shim serves, and why")
  func troubledStatus() {
    var status = ControlStatus.example
    status.shim = ControlStatus.Shim(state: .failed, reason: "3 shims\ndied", pid: 0, epoch: 3, restarts: 2)
    status.reload = ControlStatus.Reload(count: 2, state: .done)
    let lines = StatusVerb.text(status).split(separator: "\n").map(String.init)
    #expect(lines[0].hasSuffix(", up 1 h 2 min, 2 reloads"))
    #expect(
      lines[1...3] == [
        "shim             failed (3 shims\u{fffd}died), epoch 3, 2 restarts", "standby          none",
        "last outage      none",
      ])
    status.shim.state = .replacing
    status.reload = ControlStatus.Reload(count: 1, state: .failed, reason: "no memory")
    #expect(StatusVerb.text(status).contains("shim             replacing, epoch 3"))
    #expect(StatusVerb.text(status).contains("reload failed (no memory)"))
  }

  @Test("a status keeps the keys that programs know, and leaves out what is not there")
  func statusJSON() throws {
    var status = ControlStatus.example
    let whole = String(decoding: try ControlJSON.encode(status), as: UTF8.self)
    #expect(
      whole.contains(
        #""shim":{"epoch":3,"lastOutageMilliseconds":1.26,"pid":42,"restarts":2,"standbyPid":43,"state":"serving"}"#))
    #expect(!whole.contains("reload"))
    status.shim.standbyPid = nil
    status.reload = ControlStatus.Reload(count: 1, state: .replacing)
    let other = String(decoding: try ControlJSON.encode(status), as: UTF8.self)
    #expect(!other.contains("standbyPid"))
    #expect(other.contains(#""reload":{"count":1,"state":"replacing"}"#))
  }

  @Test("who serves after an order, in a line")
  func shim() {
    #expect(
      ShimVerb.text(ShimReply(epoch: 4, pid: 43, outageMilliseconds: 12.345)) == "epoch 4, pid 43, outage 12.3 ms")
    #expect(ShimVerb.text(ShimReply(epoch: 4, pid: 43, outageMilliseconds: nil)) == "epoch 4, pid 43, outage unknown")
    #expect(ShimVerb.outage(.nan) == nil)
    #expect(ShimVerb.outage(1e300) == nil)
  }

  @Test("cache")
  func cache() {
    #expect(
      CacheVerb.text(.example, now: 1_700_000_125, width: nil) == """
        folder     /var/cache/x
        here       10 MiB, and 5 MiB reserved, of at most 70 GiB (`max_cache`)
        free       20 GiB on the disk, of which 1 GiB stay free (`min_free`)
        left       1 MiB in 1 file by earlier runs, for their next open

        ID  NAME       BYTES  PINNED  LAST USED
        i1  video.mp4  9 MiB  yes     open
        i2  b\u{fffd}.mp4     1 MiB  no      2 min ago
        i3  c.mp4        0 B  yes     never

        """)
    var empty = CacheReport.example
    empty.items = []
    empty.leftovers = .init(files: 0, bytes: 0)
    empty.leaving = 1 << 20
    empty.windowLimit = 4 << 20
    #expect(
      CacheVerb.text(empty, now: 0, width: 80).hasSuffix(
        "leaving    1 MiB dropped and not free yet\nin memory  0 B of at most 4 MiB\n"))
  }

  @Test("cleared folders")
  func cleared() {
    let folders = [
      OrphanFolder(path: "/c/0123456789abcdef", files: 1, bytes: 4096, isRemoved: true),
      OrphanFolder(path: "/c/f\n", files: 2, bytes: 0, isRemoved: false),
    ]
    #expect(
      CacheVerb.text(CacheVerb.Report(folders: folders, bytes: 4096)) == """
        cleared /c/0123456789abcdef: 1 file, 4 KiB
        cleared /c/f\u{fffd}: 2 files, 0 B; the folder stays, as something else is in it
        4 KiB freed

        """)
    #expect(CacheVerb.text(CacheVerb.Report()) == "No orphan's bytes were found.\n")
  }

  @Test("trace")
  func trace() {
    #expect(
      TraceVerb.text(.example, width: nil) == """
        OP    SEGMENT  COUNT      P50     P99    MAX
        read  total    12345  12.3 us  1.5 ms  2.5 s
        read  fetched      3   0.5 us    1 ms   1 ms

        """)
    #expect(TraceVerb.text(TraceReport(ops: []), width: nil) == "No request of the kernel was timed yet.\n")
    let loops = [
      TraceReport.Loop(
        loop: "dispatch", steps: 1000, slow: 1,
        recent: [.init(number: 1, source: "ShimHost/Channel.swift:44", us: 3000, processorus: 250)]),
      TraceReport.Loop(loop: "transfer", steps: 5, slow: 0, recent: []),
    ]
    #expect(
      TraceVerb.text(TraceReport(ops: [], loops: loops), width: nil) == """
        No request of the kernel was timed yet.

        SLOW STEP  NUMBER  TOOK  PROCESSOR  FROM
        dispatch        1  3 ms     250 us  ShimHost/Channel.swift:44

        """)
    #expect(TraceVerb.time(.nan) == "-")
    #expect(TraceVerb.time(1e300) == "-")
  }

  @Test("tables and status have colours where they may, and the same text")
  func colours() {
    let items = [StagedItem.example(id: "i1")]
    let coloured = StagedVerb.text(items, width: 100, hasColours: true)
    #expect(coloured.contains("\u{1b}["))
    #expect(stripped(coloured) == StagedVerb.text(items, width: 100))
    let status = StatusVerb.text(.example, hasColours: true)
    #expect(status.contains("\u{1b}[32mserving"))
    #expect(stripped(status) == StatusVerb.text(.example))
  }

  private func stripped(_ text: String) -> String {
    text.replacing(/\u{1b}\[[0-9;]*m/, with: "").split(separator: "\n", omittingEmptySubsequences: false).map {
      String($0).trimmed
    }.joined(
      separator: "\n")
  }
}
