import Core
import EventLoop
import Glibc
import Support
import Testing

@testable import Transfer

/// The way to a server: time-outs before the request, proxies.
@Suite(.timeLimit(.minutes(10)))
struct ConnectTests {
  init() { EventLoop.start() }

  @TransferLoop
  private func end(_ url: String, _ adjust: (inout HTTPClient.Options) -> Void = { _ in }) async -> TransferError? {
    var options = HTTPClient.Options()
    adjust(&options)
    let sink = RecordingSink()
    _ = HTTPClient(options: options).fetch(
      RangeRequest(url: Redacted(url), range: ByteRange(0, 10), size: 10), sink: sink)
    return await sink.ended()
  }

  @Test("a machine that does not answer at all times out in connect", arguments: ["http", "https"])
  @TransferLoop func connect(scheme: String) async {
    let deaf = DeafListener()
    #expect(
      await end("\(scheme)://127.0.0.1:\(deaf.port)/x") { $0.connectTimeout = .milliseconds(300) }
        == .timedOut(phase: "connect"))
  }

  /// How it ends where only the TLS phase does. A busy machine may have used up a short time before, so more is given
  /// then.
  @TransferLoop
  private func patientEnd(_ url: String) async -> TransferError? {
    var error: TransferError?
    for timeout in [300, 2000, 10_000] as [Int64] where error == nil || error == .timedOut(phase: "connect") {
      error = await end(url) { $0.connectTimeout = .milliseconds(timeout) }
    }
    return error
  }

  @Test("a machine that takes the connection and says nothing of TLS times out in TLS")
  @TransferLoop func handshake() async {
    let silent = ScriptedServer { _ in [.stall] }
    let address = "https://127.0.0.1:\(silent.port)/x"
    #expect(await patientEnd(address) == .timedOut(phase: "TLS"))
    // Behind a redirect, too, where a connection has stood before.
    let redirecting = ScriptedServer { _ in ScriptedServer.answer(302, headers: "Location: \(address)\r\n") }
    #expect(await patientEnd(redirecting.url()) == .timedOut(phase: "TLS"))
  }

  @Test(
    "all but this machine is asked for through the proxy, which gets its credentials and whose refusal is told without them"
  )
  @TransferLoop func proxy() async {
    let proxy = ScriptedServer { _ in ScriptedServer.answer(407) }
    let address = Redacted("http://jane:pa55word@127.0.0.1:\(proxy.port)")
    let error = await end("https://origin.example/x?signature=s3cr3t") { $0.proxy = address }
    guard case .unreachable(let text) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(text.contains("407") && !text.contains("pa55word") && !text.contains("s3cr3t"))
    #expect(proxy.requests.map(\.method) == ["CONNECT"] && proxy.requests.map(\.target) == ["origin.example:443"])
    #expect(proxy.requests[0].header("Proxy-Authorization") == "Basic amFuZTpwYTU1d29yZA==")
    let local = ScriptedServer.file(size: 10)
    #expect(await end(local.url()) { $0.proxy = address } == nil)
    #expect(proxy.requests.count == 1)
  }

  @Test(
    "hosts of no_proxy are asked for directly, all others through the proxy",
    arguments: [
      ("*", false), ("example", false), (".example", false), ("other.test, origin.example", false),
      ("xample,other.test", true), ("", true),
    ])
  @TransferLoop func noProxy(hosts: String, isProxied: Bool) async {
    let proxy = ScriptedServer { _ in ScriptedServer.answer(502) }
    // A label of more than 63 characters: no name server is asked.
    let host = String(repeating: "a", count: 70) + ".origin.example"
    let error = await end("https://\(host)/") {
      ($0.proxy, $0.noProxy) = (Redacted("http://127.0.0.1:\(proxy.port)"), hosts)
    }
    guard case .unreachable(let text) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(text.contains(isProxied ? "502" : "Could not resolve host"))
    #expect(proxy.requests.map(\.target) == (isProxied ? ["\(host):443"] : []))
  }

  @Test("a proxy that does not exist is unreachable")
  @TransferLoop func noSuchProxy() async {
    guard
      case .unreachable(let text) = await end(
        "https://origin.example/", { $0.proxy = Redacted("http://jane:pa55word@127.0.0.1:1") })
    else {
      Issue.record("reached")
      return
    }
    #expect(!text.contains("pa55word"))
  }
}

/// A port of loopback where connecting gets stuck: its listener accepts nothing, and its queue is full.
private final class DeafListener {
  let port: UInt16
  private var descriptors: [Int32] = []

  init() {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        _ = bind(listener, pointer, length)
        _ = listen(listener, 0)
        _ = getsockname(listener, pointer, &length)
      }
    }
    port = UInt16(bigEndian: address.sin_port)
    descriptors = [listener]
    // One fills the queue of none; some more, for kernels that count otherwise.
    for _ in 0..<4 {
      let filler = socket(
        AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
      withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = Glibc.connect(filler, $0, length) }
      }
      descriptors.append(filler)
    }
  }

  deinit { for descriptor in descriptors { close(descriptor) } }
}
