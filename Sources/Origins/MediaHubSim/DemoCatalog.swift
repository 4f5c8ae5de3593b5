/// The catalogue of `--demo`: a constant, which touches nothing.
extension Catalog {
  /// The account that `--demo` shows: enough jobs for several pages, sizes from a few MiB to 6 GiB, names as people
  /// give them, a job with several outputs, some jobs that the usual filters leave out, and outputs that are listed as
  /// stubs.
  package static var demo: Catalog {
    let mib: Int64 = 1 << 20
    let gib: Int64 = 1 << 30
    let titles: [(name: String, size: Int64)] = [
      ("Sommerfest Überblick.mp4", 5 * mib + 321), ("Trailer 30s.mp4", 8 * mib),
      ("Interview Dr. Weiß (raw).mov", 64 * mib + 7),
      ("Teaser #2 – 50% faster.mp4", 12 * mib + 4095), ("Feature Film, Reel 1.mp4", 6 * gib),
      ("Feature Film, Reel 2.mp4", 5 * gib + 12_345),
      ("Keynote 2025.mp4", 1200 * mib), ("Dailies Day 01.mov", 2 * gib + 1), ("Dailies Day 02.mov", 2 * gib - 1),
      ("Dailies Day 03.mov", 1536 * mib), ("Product Tour.mp4", 180 * mib), ("Onboarding Part 1.mp4", 320 * mib),
      ("Onboarding Part 2.mp4", 290 * mib + 99), ("Press Screener.mp4", 3 * gib), ("Behind the Scenes.mp4", 700 * mib),
      ("Café Scene, Take 4.mov", 95 * mib), ("Color Test.mp4", 24 * mib), ("Short Film Final v3.mp4", 850 * mib),
      ("Documentary Rough Cut.mp4", 4 * gib + 512), ("Concert Cam A.mp4", 1800 * mib),
      ("Concert Cam B.mp4", 1750 * mib),
      ("Webinar Recording.mp4", 410 * mib), ("Safety Briefing.mp4", 45 * mib), ("日本語 Subtitles Check.mp4", 33 * mib),
    ]
    let newest: Int64 = 1_760_000_000_000
    let hours: (Int) -> Int64 = { Int64($0) * 3_600_000 }
    var jobs = titles.enumerated().map { index, title in
      let kind: CatalogFile.Kind = index % 3 == 2 ? .videoMoovLast : .video
      let file = CatalogFile(id: demoID(index), name: title.name, size: title.size, kind: kind, isStub: index % 10 == 3)
      return CatalogJob(inputName: title.name, outputs: [file], createdAt: newest - hours(index * 7))
    }
    let ladder = [("2160p", 2 * gib + 700), ("1080p", 900 * mib), ("720p", 350 * mib + 17), ("360p", 90 * mib)]
      .enumerated()
    let outputs = ladder.map { index, step in
      CatalogFile(
        id: demoID(100 + index), name: "Series S01E01 \(step.0).mp4", size: step.1, kind: .video, isStub: index == 2)
    }
    jobs.append(CatalogJob(inputName: "Series S01E01 Master.mov", outputs: outputs, createdAt: newest - hours(3)))

    let plain = CatalogFile(
      id: demoID(200), name: "Not for AutoGraph.mp4", size: 16 * mib, kind: .video, hasAutograph: false)
    jobs.append(CatalogJob(inputName: plain.name, outputs: [plain], createdAt: newest - hours(5)))
    let unfinished = CatalogFile(id: demoID(201), name: "Still encoding.mp4", size: 20 * mib)
    jobs.append(
      CatalogJob(inputName: unfinished.name, outputs: [unfinished], status: "INPROGRESS", createdAt: newest + hours(1)))
    let failed = CatalogJob(inputName: "Broken upload.avi", outputs: [], status: "FAILED", createdAt: newest - hours(9))
    jobs.append(failed)
    return Catalog(jobs: jobs)
  }

  /// One of its files, for a line to copy.
  package static var demoFile: String { demoID(1) }

  private static func demoID(_ number: Int) -> String { "5fd3e0" + CatalogFile.id(0xa1000 + number).dropFirst(6) }
}
