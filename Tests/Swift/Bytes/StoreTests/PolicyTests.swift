import ByteSource
import Core
import EventLoop
import HTTPSource
import Support
import Testing
import Transfer

@testable import Store

/// A source's policy says what it may hand over, and by which way; the engine takes the bytes of any.
@Suite(.timeLimit(.minutes(10)))
struct PolicyTests {
  private let scratch: ScratchFolder
  private let size: Int64 = 10_000

  init() throws {
    EventLoop.start()
    scratch = try ScratchFolder()
  }

  /// A page of that type on an address of this machine that is no loopback address to a reader of URLs.
  private func serve(_ type: String) -> (server: ScriptedServer, url: String) {
    let size = size
    let server = ScriptedServer { request in
      guard let range = request.range else { return [.close] }
      let head = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes \(range.start)-\(range.end - 1)/\(size)\r\n"
      return [.text(head + "Content-Length: \(range.count)\r\nContent-Type: \(type)\r\n\r\n"), .content(range)]
    }
    return (server, "http://0.0.0.0:\(server.port)/file")
  }

  @TransferLoop private func read(_ source: any ByteSource) async throws -> (
    answer: Result<ByteRange, Errno>, failures: [String?]
  ) {
    let budget = quickBudget()
    let store = try await SparseStore.create(
      name: "item", in: scratch.folder, origin: source, budget: budget, blockSize: 4096)
    let log = StoreLog()
    log.attach(store)
    let answer = await store.bytes(ByteRange(0, size))
    if case .success(let range) = answer { #expect(scratch.read("item", range) == ScriptedServer.content(range)) }
    await store.closed()
    #expect(budget.isUnused)
    return (answer, log.failures)
  }

  @TransferLoop private func source(_ url: String, _ policy: SourcePolicy) -> HTTPSource {
    var options = HTTPClient.Options()
    options.noProxy = "*"
    return HTTPSource(size: size, policy: policy, links: FixedLinks(url), client: HTTPClient(options: options))
  }

  @Test(
    "a page or a message is the file, and a host that is named is reached by plain http, if the policy says so",
    arguments: ["text/html; charset=utf-8", "application/json", "text/xml"])
  @TransferLoop func allowed(type: String) async throws {
    let (server, url) = serve(type)
    let (answer, failures) = try await read(source(url, SourcePolicy(mayBeText: true, plainHosts: ["0.0.0.0"])))
    #expect(answer == .success(ByteRange(0, size)) && failures.isEmpty)
    #expect(!server.requests.isEmpty)
  }

  @Test(
    "else they are refused in words",
    arguments: [
      (
        "text/html",
        "the origin's answer is not the file: the server answered with a web page (text/html), not with the file"
      ),
      (
        "application/json",
        "the origin's answer is not the file: the server answered with a message (application/json), not with the file"
      ),
    ])
  @TransferLoop func noText(type: String, sentence: String) async throws {
    let (server, url) = serve(type)
    let (answer, failures) = try await read(source(url, SourcePolicy(plainHosts: ["0.0.0.0"])))
    #expect(answer == .failure(.io) && failures == [sentence])
    #expect(!server.requests.isEmpty)
  }

  @Test(
    "plain http to a host that the policy does not name is refused without a request",
    arguments: [[], ["nas.lan"]] as [Set<String>])
  @TransferLoop func notPlain(hosts: Set<String>) async throws {
    let (server, url) = serve("text/html")
    let (answer, failures) = try await read(source(url, SourcePolicy(mayBeText: true, plainHosts: hosts)))
    #expect(
      answer == .failure(.io) && failures == ["The link is plain http to another machine; only https is allowed."])
    #expect(server.requests.isEmpty)
  }

  @Test(
    "access to a source that is always open is asked for once, and again only if it could not be had; a refusal is final"
  )
  func alwaysOpen() {
    let now = Moment(nanoseconds: 1)
    var state = AlwaysOpen()
    let asks = [state.want(now), state.want(now)]
    #expect(asks == [true, false] && !state.isReady)
    let hasOld = state.failed(now)
    let asksAgain = state.want(now)
    #expect(!hasOld && asksAgain)
    let isNew = state.ready(generation: 1, expires: nil, now: now)
    #expect(isNew && state.isReady && state.generation == 1 && state.renewAt == nil)
    let refusal = state.refused(1, isClear: false, now)
    let asksMore = state.replace() || state.renew(now) || state.want(now)
    #expect(refusal == .final && !asksMore)
  }

  @Test("a source without links or HTTP serves a file as well")
  @TransferLoop func memory() async throws {
    let (answer, failures) = try await read(MemorySource(size: size))
    #expect(answer == .success(ByteRange(0, size)) && failures.isEmpty)
  }
}

/// The made-up file in memory: always open, so it is its own access.
private struct MemorySource: ByteSource, SourceAccess {
  let size: Int64

  func fetch(_ request: SourceRequest, into sink: any ByteSink) -> any RangeInFlight {
    let range = Fetch(request.range, sink)
    Task { @TransferLoop in range.run() }
    return range
  }

  @TransferLoop private final class Fetch: RangeInFlight {
    let isHeldBack = false
    private var rest: ByteRange
    private var sink: (any ByteSink)?

    init(_ range: ByteRange, _ sink: any ByteSink) { (rest, self.sink) = (range, sink) }

    func run() {
      guard let sink else { return }
      guard sink.began(validator: Validator(), isWhole: false) else { return cancel() }
      resume()
    }
    func resume() {
      guard let sink else { return }
      if !rest.isEmpty {
        let bytes = ScriptedServer.content(rest)
        guard bytes.withUnsafeBytes({ sink.received($0, at: rest.start) }) else { return }
      }
      end(nil)
    }
    func stop(at offset: Int64) {
      rest = ByteRange(rest.start, max(rest.start, min(rest.end, offset)))
      if rest.isEmpty { end(nil) }
    }
    func cancel() { end(.cancelled) }

    private func end(_ failure: SourceFailure?) {
      let sink = sink
      self.sink = nil
      sink?.ended(failure)
    }
  }
}
