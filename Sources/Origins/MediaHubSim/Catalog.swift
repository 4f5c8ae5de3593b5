import Core

/// One file of the simulated account.
package struct CatalogFile: Sendable, Hashable {
  package enum Kind: String, Sendable, CaseIterable {
    /// Noise; any size.
    case plain
    /// An MP4 that plays, its `moov` box first; plain where the size is below `VideoContent.minimumSize`.
    case video
    /// The same with `moov` last: a player reads the file's end before its middle.
    case videoMoovLast = "video_moov_last"
  }

  package var id: String
  package var name: String
  package var size: Int64
  package var kind: Kind
  /// Whether the file may be tagged; the download of one that may not is refused with a tag.
  package var hasAutograph = true
  /// The bytes before it are those of the version before, after a change.
  var keptBeginning: Int64 = 0
  /// Listed as `{id, href}` even where the caller asked to expand files, as the service does now and then.
  package var isStub = false

  package init(
    id: String, name: String, size: Int64, kind: Kind = .plain, hasAutograph: Bool = true, isStub: Bool = false
  ) {
    (self.id, self.name, self.size, self.kind) = (id, name, size, kind)
    (self.hasAutograph, self.isStub) = (hasAutograph, isStub)
  }

  /// An id of the right form from a number: tests need many.
  package static func id(_ number: Int) -> String {
    let hex = String(number, radix: 16)
    return String(repeating: "0", count: max(0, 24 - hex.count)) + hex
  }

  func content(tag: String, version: Int) -> any Content {
    guard keptBeginning > 0, version > 1 else { return plainContent(tag: tag, version: version) }
    return SplicedContent(
      beginning: plainContent(tag: tag, version: version - 1), count: keptBeginning,
      rest: plainContent(tag: tag, version: version))
  }

  private func plainContent(tag: String, version: Int) -> any Content {
    let noise = PlainContent(id: id, size: size, tag: tag, version: version)
    guard kind != .plain, size >= VideoContent.minimumSize else { return noise }
    return VideoContent(noise: noise, id: id, tag: tag, moovFirst: kind == .video)
  }

  /// With a caps-like tail on QuickTime files, as the service writes it.
  var mimeType: String {
    let name = name.lowercased()
    if name.hasSuffix(".mov") { return "video/quicktime, variant=(string)iso" }
    if name.hasSuffix(".mkv") { return "video/x-matroska" }
    return name.hasSuffix(".mp4") || name.hasSuffix(".m4v") ? "video/mp4" : "application/octet-stream"
  }
}

/// One encoding job and its outputs.
package struct CatalogJob: Sendable {
  package var id: String
  package var inputName: String
  package var outputs: [CatalogFile]
  package var status: String
  /// Milliseconds since 1970, as everywhere in the service's bodies.
  package var createdAt: Int64

  package init(inputName: String, outputs: [CatalogFile], status: String = "SUCCESS", createdAt: Int64) {
    self.id = StableHash.hex(inputName, "\(createdAt)", outputs.first?.id ?? "") + "00000001"
    (self.inputName, self.outputs, self.status, self.createdAt) = (inputName, outputs, status, createdAt)
  }
}

/// The jobs of the simulated account and their files by id. It is a value in `Hub.State`, behind the hub's lock.
package struct Catalog: Sendable {
  package private(set) var jobs: [CatalogJob] = []
  private var byID: [String: CatalogFile] = [:]
  /// The time given to the last file that was added while the simulator runs, in milliseconds since 1970.
  private var latest: Int64 = 0

  package init(jobs: [CatalogJob] = []) {
    for job in jobs { add(job) }
  }

  /// Each file in a job of its own, named as the file.
  package init(files: [CatalogFile]) {
    self.init(jobs: files.map { CatalogJob(inputName: $0.name, outputs: [$0], createdAt: 0) })
  }

  package subscript(_ id: String) -> CatalogFile? { byID[id] }
  package var files: [CatalogFile] { jobs.flatMap(\.outputs) }

  /// The file has another length from now on, in its job's list too.
  mutating func resize(_ id: String, to size: Int64) {
    byID[id]?.size = size
    for job in jobs.indices {
      for output in jobs[job].outputs.indices where jobs[job].outputs[output].id == id {
        jobs[job].outputs[output].size = size
      }
    }
  }

  /// The file's next version begins as the last one.
  mutating func keepBeginning(of id: String, upTo offset: Int64) { byID[id]?.keptBeginning = max(0, offset) }

  mutating func add(_ job: CatalogJob) {
    for file in job.outputs { byID[file.id] = file }
    jobs.append(job)
  }

  mutating func add(_ file: CatalogFile, createdAt: Int64) throws(SimulatorError) {
    guard file.id.isMediaHubID else { throw SimulatorError("'\(file.id)' is not 24 lower-case hex digits") }
    guard byID[file.id] == nil else { throw SimulatorError("file \(file.id) exists") }
    add(CatalogJob(inputName: file.name, outputs: [file], createdAt: createdAt))
  }

  /// Adds a file that is newer than every other one, also if the clock has not moved on by a millisecond since the
  /// last.
  mutating func add(_ file: CatalogFile, now milliseconds: Int64) throws(SimulatorError) {
    let time = max(milliseconds, latest + 1)
    try add(file, createdAt: time)
    latest = time
  }

  /// The filter and order of `GET /jobs/`.
  struct Query {
    var status: String?
    var autograph = false
    var nameContains = ""
    var isDescending = false
    var start = 0
    var limit = 1000
  }

  /// One page, and how many jobs match on all pages.
  func list(_ query: Query) -> (page: [CatalogJob], total: Int) {
    let wanted = query.nameContains.lowercased()
    var matches = jobs.filter { job in
      (query.status == nil || job.status == query.status)
        && (!query.autograph || job.outputs.contains { $0.hasAutograph })
        && (wanted.isEmpty || job.inputName.lowercased().contains(wanted))
    }
    // By id among equals: a page must not depend on how a sort treats ties.
    matches.sort {
      query.isDescending ? ($0.createdAt, $0.id) > ($1.createdAt, $1.id) : ($0.createdAt, $0.id) < ($1.createdAt, $1.id)
    }
    return (Array(matches.dropFirst(query.start).prefix(query.limit)), matches.count)
  }
}
