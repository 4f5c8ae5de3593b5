import ControlModel
import Core
import HTTPSource
import Telemetry
import Transfer

/// MediaHub's API, as far as staging needs it: jobs, their files, and links to them. Tokens are its own affair, in
/// memory only. The control plane makes the one of the process; it lives on the transfer loop, has the network by
/// `ServiceConnection` and `HTTPClient`, and keeps no answer.
@TransferLoop
package final class MediaHubClient {
  package struct Options: Sendable {
    /// Scheme, host and path; a trailing slash does no harm.
    package var base: String
    package var clientID: String
    package var clientSecret: Redacted<String>
    /// Comma-separated; nil asks for none, and gets what the client has.
    package var scope: String?
    /// Links are asked for with a signature of its own instead of a token.
    package var signer: LinkSigner?
    /// A service that asks to be left alone is obeyed for so long at most.
    package var retryAfterLimit = Duration.seconds(300)

    package init(base: String, clientID: String, clientSecret: Redacted<String>, scope: String? = nil) {
      self.base = base
      self.clientID = clientID
      self.clientSecret = clientSecret
      self.scope = scope
    }
  }

  /// Jobs that the service allows for one page.
  package nonisolated static let pageLimits = 1...5000
  /// Stubs completed at the same time.
  private static let completions = 8
  /// Ids are 24 digits; nothing far from that is worth a request.
  private static let longestID = 256

  private let connection: ServiceConnection
  /// Fetches what links lead to.
  private nonisolated let ranges: HTTPClient
  private let signer: LinkSigner?
  private let time: any TimeSource
  private nonisolated let sentences: Sentences

  package convenience init(options: Options, http: HTTPClient, clock: any TimeSource = SystemClock()) {
    self.init(options: options, sender: http, ranges: http, clock: clock) { try? await Task.sleep(for: $0) }
  }

  /// - Parameters:
  ///   - sender: for the requests of the API.
  ///   - ranges: for the files' bytes.
  ///   - pause: waits between tries.
  package init(
    options: Options, sender: any RequestSender, ranges: HTTPClient, clock: any TimeSource = SystemClock(),
    pause: @escaping @Sendable (Duration) async -> Void
  ) {
    self.ranges = ranges
    signer = options.signer
    time = clock
    connection = ServiceConnection(options, sender: sender, time: clock, pause: pause)
    sentences = connection.sentences
  }

  /// A sentence while the service asked to be left alone; for any thread.
  package nonisolated var restSentence: String? { connection.restSentence }

  // MARK: Jobs and files

  /// A page of the finished jobs that can be staged, newest first.
  /// - Parameters:
  ///   - search: a part of the input's name, in any case; nil or "" for all.
  ///   - start: how many to skip; below 0 is 0.
  ///   - limit: how many at most, brought into `pageLimits`.
  package func jobs(search: String?, start: Int, limit: Int) async throws(MediaHubError) -> MediaHubPage {
    let start = min(max(0, start), Int(Int32.max))
    let limit = min(max(Self.pageLimits.lowerBound, limit), Self.pageLimits.upperBound)
    var pages = JobPages(start: start, limit: limit)
    while let part = pages.next {
      do throws(MediaHubError) {
        pages.took(try await jobs(search: search, part))
      } catch {
        guard case .tooLong = error else { throw error }
        guard pages.tooLong() else { throw error }
      }
    }
    if pages.unreadable > 0 { Log.warning(.mediahubJobsUnreadable, ["jobs": pages.unreadable]) }
    guard !pages.jobs.isEmpty || pages.unreadable == 0 else {
      throw sentences.lacking("every job", in: "the list of jobs")
    }
    return MediaHubPage(jobs: await complete(pages.jobs), total: pages.total, start: start, limit: limit)
  }

  private func jobs(search: String?, _ part: Range<Int>) async throws(MediaHubError) -> JobsAnswer {
    var query = PercentEncoding.query([
      "status": "SUCCESS", "expand": "file", "autograph": "true", "start": "\(part.lowerBound)",
      "limit": "\(part.count)",
      "sort": "created_at", "direction": "-1",
    ])
    if let search, !search.isEmpty { query += "&" + PercentEncoding.query(["input.file.name": search]) }
    let (response, _) = try await connection.get("/jobs/?" + query, timeout: .seconds(60))
    guard response.status == 200 else { throw sentences.refused(response.status) }
    guard let answer = await LenientJSON.decoded(JobsAnswer.self, from: response.body) else {
      throw sentences.malformed("the list of jobs")
    }
    guard answer.hasList || answer.total == 0 else { throw sentences.lacking("the list", in: "the list of jobs") }
    return answer
  }

  package func job(_ id: String) async throws(MediaHubError) -> MediaHubJob {
    guard let segment = Self.segment(id) else { throw sentences.noJob(id) }
    let (response, _) = try await connection.get("/jobs/\(segment)?expand=file")
    switch response.status {
    case 200: break
    // 400 is for an id that cannot be one.
    case 400, 404, 410: throw sentences.noJob(id)
    default: throw sentences.refused(response.status)
    }
    guard let answer = await LenientJSON.decoded(JobAnswer.self, from: response.body) else {
      throw sentences.malformed("a job")
    }
    guard let record = answer.job, let job = await complete([record]).first else {
      throw sentences.lacking("the job", in: "a job")
    }
    return job
  }

  package func file(_ id: String) async throws(MediaHubError) -> MediaHubOutput {
    guard let segment = Self.segment(id) else { throw sentences.noFile(id) }
    let (response, _) = try await connection.get("/files/\(segment)")
    switch response.status {
    case 200: break
    case 400, 404, 410: throw sentences.noFile(id)
    default: throw sentences.refused(response.status)
    }
    guard let answer = await LenientJSON.decoded(FileAnswer.self, from: response.body) else {
      throw sentences.malformed("a file")
    }
    guard var record = answer.file else { throw sentences.lacking("the file", in: "a file") }
    if record.id.isEmpty { record.id = id }
    guard let output = record.output else {
      throw .malformed("MediaHub does not say how large file \(Sentences.shown(id)) is, so it cannot be staged")
    }
    return output
  }

  /// An id as one segment of a path; nil for what would walk the path instead (curl and servers take `%2e%2e` for `..`
  /// too).
  private static func segment(_ id: String) -> String? {
    guard !id.isEmpty, id != ".", id != "..", id.utf8.count <= longestID else { return nil }
    return PercentEncoding.encode(id)
  }

  // MARK: Completing stubs

  /// Jobs with the outputs that can be staged: those of which the list holds only a stub are asked for, each file once;
  /// what stays incomplete is left out.
  private func complete(_ records: [JobRecord]) async -> [MediaHubJob] {
    let stubs = records.flatMap(\.outputs).filter { $0.isStub && !$0.id.isEmpty }
    let found = await files(Array(Set(stubs.map(\.id))))
    return records.map { record in
      let outputs = record.outputs.compactMap { $0.isStub ? found[$0.id] ?? $0.output : $0.output }
      return MediaHubJob(id: record.id, name: record.name, outputs: outputs)
    }
  }

  private func files(_ ids: [String]) async -> [String: MediaHubOutput] {
    let queue = IDQueue(ids)
    // Lanes that take the next id when they are done with one.
    let lanes = (0..<min(Self.completions, ids.count)).map { _ in
      Task {
        var found: [String: MediaHubOutput] = [:]
        while let id = queue.next() { found[id] = await self.fileOrNothing(id) }
        return found
      }
    }
    var found: [String: MediaHubOutput] = [:]
    for lane in lanes { found.merge(await lane.value) { first, _ in first } }
    return found
  }

  private final class IDQueue {
    private var rest: ArraySlice<String>
    init(_ ids: [String]) { rest = ids[...] }
    func next() -> String? { rest.popFirst() }
  }

  private func fileOrNothing(_ id: String) async -> MediaHubOutput? {
    do throws(MediaHubError) {
      return try await file(id)
    } catch {
      Log.warning(.mediahubFileDropped, ["file": Sentences.shown(id), "cause": error.sentence])
      return nil
    }
  }

  // MARK: Links

  /// The object behind a file for one recipient. Mints the first link at once, so that a wrong file or tag shows here.
  package func source(file: MediaHubOutput, recipient: String) async throws(MediaHubError) -> HTTPSource {
    let links = MediaHubLinks(client: self, fileID: file.fileId, recipient: recipient)
    let first = try await links.mint(1, isUrgent: true)
    return HTTPSource(
      size: file.size, policy: MediaHubLinks.policy(ofFileNamed: file.name), links: links, client: ranges, first: first)
  }

  /// The same without asking the service: for an item staged earlier. The first link is minted when it is needed.
  package nonisolated func source(fileID: String, name: String, size: Int64, recipient: String) -> HTTPSource {
    HTTPSource(
      size: size, policy: MediaHubLinks.policy(ofFileNamed: name),
      links: MediaHubLinks(client: self, fileID: fileID, recipient: recipient),
      client: ranges)
  }

  /// A URL, good for a while, of the copy of `fileID` that is marked for `recipient`.
  func link(fileID: String, recipient: String, generation: Int, turn: RequestTurn? = nil) async throws(MediaHubError)
    -> Link
  {
    guard !recipient.isEmpty else { throw .refused("MediaHub marks each copy for its recipient; name one") }
    guard !fileID.isEmpty, fileID.utf8.count <= Self.longestID else { throw sentences.noFile(fileID) }
    let path =
      "/files/downloads/?" + PercentEncoding.query(["file_id": fileID, "autograph_tag": recipient, "redirect": "true"])
    let (response, url) =
      if let signer { try await connection.get(path, signedBy: signer, turn: turn) } else {
        try await connection.get(path, turn: turn)
      }
    switch response.status {
    case 300...399: break
    case 400:
      let file = Sentences.shown(fileID)
      throw .refused(
        "MediaHub gives no link to file \(file) for this recipient (400); the file may not be AutoGraph-enabled")
    case 404, 410: throw sentences.noFile(fileID)
    case 200...299: throw sentences.lacking("the link", in: "a link")
    default: throw sentences.refused(response.status)
    }
    guard let location = response.location, !location.reveal().isEmpty else {
      throw sentences.lacking("the link", in: "a link")
    }
    do throws(LinkTarget.Refusal) {
      let link = try LinkTarget.resolve(location, from: url)
      let host = WebAddress(link.reveal())?.host ?? ""
      // Rounded up, as the end that is shown is a whole second.
      let left = LinkExpiry.left(of: link.reveal(), wallSeconds: (time.wallNanoseconds() + 999_999_999) / 1_000_000_000)
      Log.debug(
        .mediahubLink,
        [
          "file": fileID, "host": host, "link": StableHash.hex(link.reveal()),
          "left": left.map { "\($0)" } ?? "unknown",
        ])
      return Link(url: link, generation: generation, expires: left.map { time.now() + $0 })
    } catch {
      switch error {
      case .unreadable: throw sentences.lacking("the link", in: "a link")
      case .insecure:
        throw .refused(
          "MediaHub gave a link to file \(Sentences.shown(fileID)) that is not plain https, so it is not used")
      }
    }
  }
}
