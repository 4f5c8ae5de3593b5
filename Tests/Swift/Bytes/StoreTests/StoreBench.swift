import ByteSource
import Core
import EventLoop
import Glibc
import HTTPSource
import MediaHubSim
import Support
import Synchronization
import Testing
import Transfer

@testable import Store

/// A file of the simulator as the store sees it: links minted over its API.
final class SimOrigin: ByteSource {
  let simulator: Simulator
  let file: String
  let size: Int64
  private let client: HTTPClient
  private let state = Mutex<(generation: Int, tags: [String])>((0, []))

  init(_ simulator: Simulator, file: String, size: Int64, client: HTTPClient) {
    (self.simulator, self.file, self.size, self.client) = (simulator, file, size, client)
  }

  /// Recipients of the next links; another one is another ETag and other bytes.
  func use(tags: [String]) { state.withLock { $0.tags = tags } }
  var links: Int { state.withLock { $0.generation } }

  func accessState(leastPause: Duration, longestPause: Duration) -> any AccessState {
    LinkState(.init(leastPause: leastPause, longestPause: longestPause))
  }

  @TransferLoop func access(replacing stale: Int?, isUrgent: Bool) async throws(SourceFailure) -> any SourceAccess {
    do throws(TransferError) {
      return HTTPAccess(link: try await link(), size: size, policy: policy, client: client)
    } catch {
      throw error.asSourceFailure
    }
  }

  @TransferLoop private func link() async throws(TransferError) -> Link {
    let (generation, tag) = state.withLock { state in
      state.generation += 1
      return (
        state.generation, state.tags.isEmpty ? "a" : state.tags.count > 1 ? state.tags.removeFirst() : state.tags[0]
      )
    }
    let form = "grant_type=client_credential&client_id=demo-client&client_secret=demo-secret"
    let answer = try await client.perform(
      HTTPRequest(.post, url: simulator.baseURL + "/oauth2/token/", form: Redacted(form)))
    let text = String(decoding: answer.body, as: UTF8.self)
    guard let token = text.split(separator: "\"").drop(while: { $0 != "access_token" }).dropFirst(2).first else {
      throw .refused("no token")
    }
    let found = try await client.perform(
      HTTPRequest(
        url: simulator.baseURL + "/files/downloads/?file_id=\(file)&autograph_tag=\(tag)&redirect=true",
        bearer: Redacted(String(token))))
    guard let location = found.location else { throw .refused("no link") }
    return Link(url: location, generation: generation)
  }
}

/// Links that all lead to one URL.
@TransferLoop
final class FixedLinks: LinkMaker {
  private let url: String
  private(set) var count = 0
  init(_ url: String) { self.url = url }
  func link(generation: Int, isUrgent: Bool) async throws(TransferError) -> Link {
    count += 1
    return Link(url: Redacted(url), generation: generation)
  }
  func hurry() {}
}

/// A folder that goes with the object.
final class ScratchFolder: Sendable {
  let path: String
  let folder: CacheFolder
  init(_ path: String? = nil) throws {
    let made = try path ?? TestFolder.make("store")
    let descriptor = open(made, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Errno.current }
    self.path = made
    folder = CacheFolder(descriptor: descriptor)
  }
  func read(_ name: String, _ range: ByteRange) -> [UInt8] {
    let descriptor = openat(folder.descriptor, name, O_RDONLY)
    guard descriptor >= 0 else { return [] }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: Int(range.count))
    let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, off_t(range.start)) }
    return Array(bytes.prefix(max(0, count)))
  }
  func size(_ name: String) -> Int64? {
    var about = stat()
    return fstatat(folder.descriptor, name, &about, 0) == 0 ? Int64(about.st_size) : nil
  }
  deinit {
    close(folder.descriptor)
    rmdir(path)
  }
}

/// A store's reports, in order.
final class StoreLog: Sendable {
  private let state = Mutex<(blocks: Set<Int>, failures: [String?])>(([], []))
  var blocks: Set<Int> { state.withLock { $0.blocks } }
  var failures: [String?] { state.withLock { $0.failures } }
  @TransferLoop func attach(_ store: SparseStore) {
    store.onBlocks = { blocks, isPresent in
      self.state.withLock { if isPresent { $0.blocks.formUnion(blocks) } else { $0.blocks.subtract(blocks) } }
    }
    attachFailures(store)
  }
  @TransferLoop func attachFailures(_ store: any FetchStore) {
    store.onFailure = { reason in self.state.withLock { $0.failures.append(reason) } }
  }
}

extension FetchStore {
  /// A read whose answer is not held on to.
  func ask(_ range: ByteRange, then: @escaping @Sendable (Result<ByteRange, Errno>) -> Void) {
    read(range) {
      then($0)
      return nil
    }
  }
  func bytes(_ range: ByteRange) async -> Result<ByteRange, Errno> {
    await withCheckedContinuation { continuation in
      read(range) {
        continuation.resume(returning: $0)
        return nil
      }
    }
  }
}

extension SparseStore {
  func closed(_ error: Errno = .io) async {
    await withCheckedContinuation { continuation in close(error: error) { continuation.resume() } }
  }
}

extension FetchStore {
  /// All of it, or nothing.
  func setFilling(_ isFilling: Bool) { setFilling(isFilling ? .whole : .none) }
}

/// Fast times, so that tests need not wait for patience.
@TransferLoop
func quickBudget(_ adjust: (inout FetchBudget.Options) -> Void = { _ in }) -> FetchBudget {
  var options = FetchBudget.Options()
  adjust(&options)
  let budget = FetchBudget(options: options)
  budget.adjust = {
    $0.backoff.first = .milliseconds(5)
    $0.backoff.longest = .milliseconds(20)
  }
  return budget
}
