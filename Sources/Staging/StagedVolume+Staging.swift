import ControlModel
import Core
import MediaHub
import Telemetry
import Transfer
import Volume

extension StagedVolume {
  /// How long stage and unstage wait for the kernel to forget; a stopped shim must not hang them.
  private static var patience: Duration { .seconds(1) }

  /// Makes a file for a recipient appear under the mount; a job with one output stands for that output. When it returns, `ls` shows it.
  /// What stands already is returned untouched, without asking the service.
  /// - Parameter isWarm: its bytes are fetched before anybody opens it, its ends first.
  package func stage(_ fileOrJob: String, recipient: String, isWarm: Bool = false) async throws(StagingError) -> StagedItem {
    let item = try await stage(fileOrJob, recipient: recipient)
    guard isWarm, let seq = tiles.names[FileName(item.id)], let tile = tiles.tiles[seq], tile.entry.fileID == item.fileId else {
      return item
    }
    warm(seq)
    return tiles.tiles[seq].map { self.item($0) } ?? item
  }

  private func stage(_ fileOrJob: String, recipient: String) async throws(StagingError) -> StagedItem {
    let fileOrJob = try Wording.fileOrJob(fileOrJob)
    let recipient = try Wording.recipient(recipient)
    guard !isStopping else { throw Self.stopping }
    if let item = await showAgain(TilePair(fileID: fileOrJob, recipient: recipient)) { return item }
    let file = try await find(fileOrJob)
    let pair = TilePair(fileID: file.fileId, recipient: recipient)
    while true {
      guard !isStopping else { throw Self.stopping }
      if let item = await showAgain(pair) { return item }
      let staging = stagings[pair] ?? startStaging(file, recipient, pair)
      let seq = try await staging.value.get()
      // Unstaged again while the kernel forgot: what was asked for did happen, and happens once more.
      if let tile = tiles.tiles[seq], tile.isNamed { return item(tile) }
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
    .noSuch("nothing is staged as \"\(shown(idOrPath))\": `fsmvp staged` lists what is")
  }

  package func unstageAll() async throws(StagingError) -> [StagedItem] { try await unstage(tiles.names.seqs) }

  // MARK: Staging

  static var stopping: StagingError { .failed("fsmvp is stopping: nothing is staged any more") }

  private func showAgain(_ pair: TilePair) async -> StagedItem? {
    guard let seq = tiles.standing(pair) else { return nil }
    await forgotten(tiles.show(seq, at: time))
    return tiles.tiles[seq].flatMap { $0.isNamed ? item($0) : nil }
  }

  private func startStaging(
    _ file: MediaHubOutput, _ recipient: String, _ pair: TilePair
  ) -> Task<Result<UInt64, StagingError>, Never> {
    let staging = Task { @DispatchLoop () -> Result<UInt64, StagingError> in
      defer { stagings[pair] = nil }
      do throws(StagingError) { return .success(try await bringUp(file, recipient)) } catch { return .failure(error) }
    }
    stagings[pair] = staging
    return staging
  }

  private func bringUp(_ file: MediaHubOutput, _ recipient: String) async throws(StagingError) -> UInt64 {
    let origin = try await asking { catalogue throws(MediaHubError) in try await catalogue.origin(file: file, recipient: recipient) }
    guard !isStopping else { throw Self.stopping }
    let name = FileName.safe(file.name, contentType: file.contentType)
    let entry = tiles.reserve(fileID: file.fileId, recipient: recipient, name: name, size: file.size, wall: time.wall)
    let order = tiles.drawOrder()
    if let error = await journal.write([.add(entry, order: order)]) {
      tiles.cancel(entry)
      throw unwritten(error)
    }
    belongings[entry.seq] = Belongings(origin: origin)
    Log.info("item.staged", ["id": entry.id, "recipient": StableHash.hex(recipient), "size": entry.size])
    await forgotten(tiles.stage(entry, order: order, at: time))
    return entry.seq
  }

  /// The file meant by an id: a file's, or that of a job with one output.
  private func find(_ id: String) async throws(StagingError) -> MediaHubOutput {
    var found: MediaHubOutput?
    do throws(StagingError) {
      found = try await asking { catalogue throws(MediaHubError) in try await catalogue.file(id) }
    } catch {
      guard case .noSuch = error else { throw error }
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
      guard case .noSuch = error else { throw error }
      throw .noSuch("MediaHub has neither a file nor a job \"\(id)\": `fsmvp jobs` lists what it has")
    }
    guard let first = job.outputs.first else { throw .noSuch("the job \"\(id)\" has no outputs to stage") }
    guard job.outputs.count > 1 else { return first }
    let named = job.outputs.prefix(20).map { "\(Self.shown($0.fileId)) (\(FileName.safe($0.name, contentType: $0.contentType)))" }
    let more = job.outputs.count > named.count ? " and \(job.outputs.count - named.count) more" : ""
    throw .invalid("the job \"\(id)\" has \(job.outputs.count) outputs, stage one of them: \(named.joined(separator: ", "))\(more)")
  }

  private func asking<T: Sendable>(
    _ question: @TransferLoop @Sendable (any Catalogue) async throws(MediaHubError) -> T
  ) async throws(StagingError) -> T {
    do throws(MediaHubError) {
      return try await question(surroundings.catalogue)
    } catch {
      if case .notFound(let sentence) = error { throw .noSuch(sentence) }
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
    let leaving = seqs.filter { tiles.isStanding($0) }
    let items = leaving.compactMap { tiles.tiles[$0] }.map { tile in
      var item = item(tile)
      item.state = .leaving
      item.tileRef = 0
      return item
    }
    for item in items { Log.info("item.unstaged", ["id": item.id, "open": item.openRef]) }
    await forgotten(tiles.unstage(leaving, at: time))
    return items
  }

  private func forgotten(_ actions: [TileAction]) async {
    let isForgotten = await wait(atMost: Self.patience, surroundings) { done in act(actions, forgotten: done) }
    if !isForgotten { Log.warning("invalidate.late", ["seconds": Self.patience.seconds]) }
  }

  /// What is named by an id, or by the path of an item's file or directory.
  func standing(_ idOrPath: String) -> UInt64? {
    guard idOrPath.utf8.first == UInt8(ascii: "/") else { return tiles.names[FileName(idOrPath)] }
    let root = Array("\(mountpoint)/Staged/".utf8)
    guard idOrPath.utf8.starts(with: root) else { return nil }
    let parts = idOrPath.utf8.dropFirst(root.count).split(separator: UInt8(ascii: "/")).map { FileName($0) }
    guard (1...2).contains(parts.count), let seq = tiles.names[parts[0]] else { return nil }
    return parts.count == 1 || parts[1] == tiles.tiles[seq]?.entry.name ? seq : nil
  }

  /// What somebody typed or a service said, fit for a sentence.
  private static func shown(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.prefix(300).map { Wording.isControl($0) ? "_" : $0 }))
  }
}
