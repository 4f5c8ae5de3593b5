import ControlModel
import Core
import MediaHub
import OpenFiles
import Telemetry
import Volume

/// Staging and unstaging. They run on the dispatch loop: the service is asked on the transfer loop, the journal is
/// written on worker threads, and `stagings` holds what is under way.
extension StagedVolume {
  /// How long stage and unstage wait for the kernel to forget; a stopped shim must not hang them.
  private static var patience: Duration { .seconds(1) }

  /// Makes a file for a recipient appear under the mount; a job with one output stands for that output. When it
  /// returns, `ls` shows it. An item that stands already is returned untouched, unless the service has a file of
  /// another length under its id by now: then the new one takes its place, and handles that are open keep the old one.
  /// - Parameter isWarm: its bytes are fetched before the first open, its ends first.
  package func stage(_ fileOrJob: String, recipient: String, isWarm: Bool = false) async throws(StagingError)
    -> StagedItem
  {
    let item = try await stage(fileOrJob, recipient: recipient)
    remember(recipient: item.recipient)
    guard isWarm, let seq = staged[FileName(item.id)], staged.entry(seq)?.fileID == item.fileId else {
      return item
    }
    warm(seq)
    return self.item(seq) ?? item
  }

  private func stage(_ fileOrJob: String, recipient: String) async throws(StagingError) -> StagedItem {
    let fileOrJob = try Wording.fileOrJob(fileOrJob)
    let recipient = try Wording.recipient(recipient)
    guard !isStopping else { throw Self.stopping }
    let standing = StagedPair(fileID: fileOrJob, recipient: recipient)
    if await isReplaced(fileOrJob, standing), let seq = staged.standing(standing) { _ = try await unstage([seq]) }
    if let item = await showAgain(standing) { return item }
    let file = try await find(fileOrJob)
    let pair = StagedPair(fileID: file.fileId, recipient: recipient)
    while true {
      guard !isStopping else { throw Self.stopping }
      if let item = await showAgain(pair) { return item }
      let staging = stagings[pair] ?? startStaging(file, recipient, pair)
      let seq = try await staging.value.get()
      // Unstaged again while the kernel forgot: what was asked for did happen, and happens once more.
      if staged.isStanding(seq), let item = item(seq) { return item }
    }
  }

  /// By id or by path.
  package func unstage(_ idOrPath: String) async throws(StagingError) -> StagedItem {
    guard let seq = standing(idOrPath), let item = try await unstage([seq]).first else { throw Self.noSuch(idOrPath) }
    return item
  }

  func unwritten(_ error: SQLiteError) -> StagingError {
    .failed("the list of staged items cannot be written: \(error.message) (\(journal.path))")
  }

  static func noSuch(_ idOrPath: String) -> StagingError {
    .noSuchItem("nothing is staged as \"\(shown(idOrPath))\": `fsmvp staged` lists what is")
  }

  package func unstageAll() async throws(StagingError) -> [[StagedItem]] { try await unstageEach() }

  // MARK: Staging

  static var stopping: StagingError { .failed("fsmvp is stopping: nothing is staged any more") }

  private func showAgain(_ pair: StagedPair) async -> StagedItem? {
    guard let seq = staged.standing(pair) else { return nil }
    await forgotten(change { $0.show(seq, at: $1, &$2) })
    return staged.isStanding(seq) ? item(seq) : nil
  }

  /// Whether the service has a file of another length under the id by now. Without an answer within a moment the item
  /// stands as it is.
  private func isReplaced(_ fileID: String, _ pair: StagedPair) async -> Bool {
    guard let seq = staged.standing(pair), let size = staged[seq]?.size else { return false }
    let answer = ServiceAnswer()
    _ = await wait(atMost: Self.patience, files.alarm) { done in
      Task { @DispatchLoop in
        answer.file = try? await asking { catalogue throws(MediaHubError) in try await catalogue.file(fileID) }
        done()
      }
    }
    guard let file = answer.file, file.fileId == fileID, (0...Self.maxSize).contains(file.size), file.size != size
    else { return false }
    Log.info(.itemReplaced, ["id": staged.entry(seq)?.id ?? "", "size": file.size])
    return true
  }

  @DispatchLoop
  private final class ServiceAnswer {
    var file: MediaHubOutput?
  }

  private func startStaging(
    _ file: MediaHubOutput, _ recipient: String, _ pair: StagedPair
  ) -> Task<Result<UInt64, StagingError>, Never> {
    let staging = Task { @DispatchLoop () -> Result<UInt64, StagingError> in
      defer { stagings[pair] = nil }
      do throws(StagingError) { return .success(try await bringUp(file, recipient)) } catch { return .failure(error) }
    }
    stagings[pair] = staging
    return staging
  }

  private func bringUp(_ file: MediaHubOutput, _ recipient: String) async throws(StagingError) -> UInt64 {
    let origin = try await asking { catalogue throws(MediaHubError) in
      try await catalogue.origin(file: file, recipient: recipient)
    }
    guard !isStopping else { throw Self.stopping }
    let name = FileName.safe(file.name, contentType: file.contentType)
    let modified = await journal.modified(StagedEntry.dateKey(file.fileId, recipient, file.size), wall: time.wall)
    let (entry, order) = reserve(file, recipient: recipient, name: name, modified: modified)
    if let error = await journal.write([.add(entry, order: order)]) {
      cancel(entry)
      throw unwritten(error)
    }
    keep(origin, of: entry.seq)
    Log.info(.itemStaged, ["id": entry.id, "recipient": StableHash.hex(recipient), "size": entry.size])
    await forgotten(change { $0.stage(entry, order: order, at: $1, &$2) })
    return entry.seq
  }

  /// The file meant by an id: a file's, or that of a job with one output.
  private func find(_ id: String) async throws(StagingError) -> MediaHubOutput {
    var found: MediaHubOutput?
    do throws(StagingError) {
      found = try await asking { catalogue throws(MediaHubError) in try await catalogue.file(id) }
    } catch {
      guard case .noSuchFile = error else { throw error }
    }
    let file: MediaHubOutput
    if let found { file = found } else { file = try await onlyOutput(ofJob: id) }
    guard !file.fileId.isEmpty, (0...Self.maxSize).contains(file.size) else {
      throw .service(.malformed("MediaHub's answer for \"\(id)\" has no usable file id and size"))
    }
    return file
  }

  private func onlyOutput(ofJob id: String) async throws(StagingError) -> MediaHubOutput {
    let job: MediaHubJob
    do throws(StagingError) {
      job = try await asking { catalogue throws(MediaHubError) in try await catalogue.job(id) }
    } catch {
      guard case .noSuchFile = error else { throw error }
      throw .noSuchFile("MediaHub has neither a file nor a job \"\(id)\": `fsmvp jobs` lists what it has")
    }
    guard let first = job.outputs.first else { throw .noSuchFile("the job \"\(id)\" has no outputs to stage") }
    guard job.outputs.count > 1 else { return first }
    let named = job.outputs.prefix(20).map {
      "\(Self.shown($0.fileId)) (\(FileName.safe($0.name, contentType: $0.contentType)))"
    }
    let more = job.outputs.count > named.count ? " and \(job.outputs.count - named.count) more" : ""
    throw .invalid(
      "the job \"\(id)\" has \(job.outputs.count) outputs, stage one of them: \(named.joined(separator: ", "))\(more)")
  }

  private func asking<T: Sendable>(
    _ question: @TransferLoop @Sendable (any Catalogue) async throws(MediaHubError) -> T
  ) async throws(StagingError) -> T {
    do throws(MediaHubError) {
      return try await question(dependencies.catalogue)
    } catch {
      if case .notFound(let sentence) = error { throw .noSuchFile(sentence) }
      throw .service(error)
    }
  }

  // MARK: Unstaging

  private func unstage(_ seqs: [UInt64]) async throws(StagingError) -> [StagedItem] {
    guard !seqs.isEmpty else { return [] }
    if let error = await journal.write(seqs.map { .leave(seq: $0) }) {
      throw unwritten(error)
    }
    // Some may have gone by another way meanwhile.
    let leaving = seqs.filter { staged.isStanding($0) }
    let left = leaving.compactMap { item($0) }.map { item in
      var item = item
      item.state = .leaving
      item.tileRef = 0
      return item
    }
    for item in left { Log.info(.itemUnstaged, ["id": item.id, "open": item.openRef]) }
    await forgotten(change { $0.unstage(leaving, at: $1, &$2) })
    return left
  }

  /// All of them, some at a time.
  private func unstageEach() async throws(StagingError) -> [[StagedItem]] {
    var left: [[StagedItem]] = []
    var from: UInt64? = 0
    while let seq = from {
      let page = staged.page(from: seq, limit: Self.step)
      let part = try await unstage(page.filter { $0.record.isNamed }.map(\.seq))
      if !part.isEmpty { left.append(part) }
      from = page.count == Self.step ? page.last.map { $0.seq + 1 } : nil
    }
    return left
  }

  /// Items in one step.
  private static var step: Int { 32 }

  private func forgotten(_ actions: [StagedAction]) async {
    let isForgotten = await wait(atMost: Self.patience, files.alarm) { done in act(actions, forgotten: done) }
    if !isForgotten { Log.warning(.invalidateLate, ["seconds": Self.patience.seconds]) }
  }

  /// The item with that id, or of which that path names the file or the directory.
  func standing(_ idOrPath: String) -> UInt64? {
    guard idOrPath.utf8.first == UInt8(ascii: "/") else { return staged[FileName(idOrPath)] }
    let root = Array("\(mountpoint)/Staged/".utf8)
    guard idOrPath.utf8.starts(with: root) else { return nil }
    let parts = idOrPath.utf8.dropFirst(root.count).split(separator: UInt8(ascii: "/")).map { FileName($0) }
    guard (1...2).contains(parts.count), let seq = staged[parts[0]] else { return nil }
    return parts.count == 1 || parts[1] == staged.entry(seq)?.name ? seq : nil
  }

  /// Text that was typed or came from a service, fit for a sentence.
  private static func shown(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.prefix(300).map { Wording.isControl($0) ? "_" : $0 }))
  }
}
