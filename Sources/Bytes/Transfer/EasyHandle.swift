import CCurl
import Core
import Glibc

/// A libcurl easy handle: set up for one exchange at a time, then reused. Owned by the pool of `HTTPClient` or by
/// `CurlMulti` while it runs. All calls of it and of libcurl's callbacks are on the transfer loop.
@TransferLoop
final class EasyHandle {
  nonisolated static let redirectLimit = 10
  /// Size of libcurl's receive buffer. It hands over 16 KiB at a time in any case, but makes fewer system calls with a
  /// larger one.
  private static let receiveBuffer = 512 << 10

  let raw: UnsafeMutableRawPointer
  /// The receiver of the callbacks; nil as soon as the exchange has ended, which fails further calls of libcurl.
  var exchange: (any Exchange)?
  /// nil: the system's.
  private var certificates: CertificateBundle?
  private let message: UnsafeMutablePointer<CChar>
  private var headers: UnsafeMutablePointer<curl_slist>?

  init() throws(TransferError) {
    guard Self.isLibraryReady, let raw = curl_easy_init() else {
      throw .unreachable("libcurl could not be initialised")
    }
    self.raw = raw
    message = .allocate(capacity: Int(CURL_ERROR_SIZE))
    message.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
  }

  isolated deinit {
    curl_easy_cleanup(raw)
    curl_slist_free_all(headers)
    message.deallocate()
  }

  private static let isLibraryReady = curl_global_init(Int(CURL_GLOBAL_ALL)) == CURLE_OK

  private static let inheritedNoProxy = (getenv("no_proxy") ?? getenv("NO_PROXY")).map { String(cString: $0) } ?? ""

  /// Loopback never goes through a proxy, whatever the settings or the environment say.
  private static func noProxy(_ hosts: String) -> String {
    hosts == "*" ? hosts : (hosts.isEmpty ? "" : hosts + ",") + "localhost,127.0.0.0/8,::1"
  }

  // MARK: Setting up

  /// Everything that all exchanges share. `headers` are whole lines; nothing in them may hold a line end. A connection
  /// that was idle for more than `oldest` seconds is not used.
  func prepare(url: String, headers lines: [String], options: HTTPClient.Options, oldest: Int) throws(TransferError) {
    var codes: [CURLcode] = []
    func set(_ option: CURLoption, _ value: Int) { codes.append(ccurl_set_long(raw, option, value)) }
    func set(_ option: CURLoption, _ value: String) { codes.append(ccurl_set_string(raw, option, value)) }
    set(CURLOPT_NOSIGNAL, 1)
    // A cancelled look-up is left to its thread; without this libcurl waits for the name server, and the loop with it.
    set(CURLOPT_QUICK_EXIT, 1)
    set(CURLOPT_URL, url)
    set(CURLOPT_PROTOCOLS_STR, "http,https")
    set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https")
    set(CURLOPT_NOPROXY, Self.noProxy(options.noProxy ?? Self.inheritedNoProxy))
    if let proxy = options.proxy { set(CURLOPT_PROXY, proxy.reveal()) }
    codes.append(ccurl_set_no_certificates(raw))
    certificates = options.certificates
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
    // One connection a transfer: over HTTP/2 all ranges would share one, and its window.
    set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
    set(CURLOPT_USERAGENT, "fsmvp/1")
    set(CURLOPT_CONNECTTIMEOUT_MS, Int(clamping: options.connectTimeout.milliseconds))
    set(CURLOPT_TCP_NODELAY, 1)
    set(CURLOPT_TCP_KEEPALIVE, 1)
    // Refused where a buffer is left from before; that is no reason to fail.
    _ = ccurl_set_long(raw, CURLOPT_BUFFERSIZE, Self.receiveBuffer)
    set(CURLOPT_MAXAGE_CONN, oldest)
    codes.append(ccurl_set_error_buffer(raw, message))
    codes.append(
      ccurl_set_callbacks(raw, headerCallback, bodyCallback, requestCallback, Unmanaged.passUnretained(self).toOpaque())
    )
    codes.append(ccurl_set_handshake_callback(raw, handshakeCallback, Unmanaged.passUnretained(self).toOpaque()))
    for line in lines {
      guard let longer = curl_slist_append(headers, line) else { throw .unreachable("out of memory") }
      headers = longer
    }
    codes.append(ccurl_set_headers(raw, headers))
    guard codes.allSatisfy({ $0 == CURLE_OK }) else { throw .unreachable("libcurl refused an option") }
  }

  /// A connection is about to begin TLS by `context`, an SSL_CTX.
  fileprivate func trust(in context: UnsafeMutableRawPointer) { (certificates ?? .system).use(in: context) }

  func followRedirects() {
    _ = ccurl_set_long(raw, CURLOPT_FOLLOWLOCATION, 1)
    _ = ccurl_set_long(raw, CURLOPT_MAXREDIRS, Self.redirectLimit)
  }

  func setFresh() { _ = ccurl_set_long(raw, CURLOPT_FRESH_CONNECT, 1) }

  func setRange(_ range: ByteRange) { _ = ccurl_set_string(raw, CURLOPT_RANGE, "\(range.start)-\(range.end - 1)") }

  func setTotalTimeout(_ timeout: Duration) {
    _ = ccurl_set_long(raw, CURLOPT_TIMEOUT_MS, Int(clamping: max(1, timeout.milliseconds)))
  }

  /// Makes it a POST.
  func setForm(_ form: String) {
    _ = ccurl_set_long(raw, CURLOPT_POST, 1)
    _ = ccurl_set_form(raw, form, curl_off_t(form.utf8.count))
  }

  /// Forgets everything about the last exchange, secrets included.
  func reset() {
    exchange = nil
    curl_easy_reset(raw)
    curl_slist_free_all(headers)
    headers = nil
    message.pointee = 0
  }

  func result(_ code: CURLcode) -> CurlResult {
    var text = String(cString: curl_easy_strerror(code))
    switch code {
    case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT, CURLE_SSL_CONNECT_ERROR,
      CURLE_PEER_FAILED_VERIFICATION, CURLE_PROXY, CURLE_RECV_ERROR:
      // These name the host, which helps; what looks like a URL is never passed on.
      let detail = String(cString: message)
      if !detail.isEmpty, !detail.contains("?"), !detail.contains("://"),
        detail.utf8.allSatisfy({ (0x20...0x7e).contains($0) })
      {
        text = detail
      }
    default: break
    }
    if code == CURLE_PEER_FAILED_VERIFICATION {
      let reason = ["SSL certificate problem: ", "SSL: "].reduce(text) {
        $0.hasPrefix($1) ? String($0.dropFirst($1.count)) : $0
      }
      text = "its TLS certificate is not to be trusted: \(reason); the setting ca_file names further ones to trust"
    }
    if text.lowercased().contains("proxy") {
      text += "; the setting proxy, or https_proxy in the environment, names it"
    }
    return CurlResult(code: code, text: text)
  }
}

// MARK: libcurl's callbacks

private typealias CurlBytes = UnsafeMutablePointer<CChar>

/// On the loop's thread, inside a call of `CurlMulti`.
private func withExchange<Result: Sendable>(
  _ context: UnsafeMutableRawPointer?, otherwise: Result, _ body: @TransferLoop (any Exchange) -> Result
) -> Result {
  nonisolated(unsafe) let context = context
  return TransferLoop.assumeIsolated {
    guard let context, let exchange = Unmanaged<EasyHandle>.fromOpaque(context).takeUnretainedValue().exchange else {
      return otherwise
    }
    return body(exchange)
  }
}

private func headerCallback(_ bytes: CurlBytes?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?) -> Int
{
  nonisolated(unsafe) let line = UnsafeRawBufferPointer(start: bytes, count: size * count)
  return withExchange(context, otherwise: ccurl_fail()) { $0.headReceived(line) ? line.count : ccurl_fail() }
}

private func bodyCallback(_ bytes: CurlBytes?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?) -> Int {
  nonisolated(unsafe) let body = UnsafeRawBufferPointer(start: bytes, count: size * count)
  return withExchange(context, otherwise: ccurl_fail()) {
    switch $0.bodyReceived(body) {
    case .taken: body.count
    case .pause: ccurl_pause()
    case .end: ccurl_fail()
    }
  }
}

/// - Parameter tls: OpenSSL's SSL_CTX of the new connection.
private func handshakeCallback(
  _: UnsafeMutableRawPointer?, _ tls: UnsafeMutableRawPointer?, _ context: UnsafeMutableRawPointer?
)
  -> CURLcode
{
  nonisolated(unsafe) let (tls, easy) = (tls, context)
  return withExchange(context, otherwise: CURLE_ABORTED_BY_CALLBACK) {
    guard let tls, let easy else { return CURLE_ABORTED_BY_CALLBACK }
    Unmanaged<EasyHandle>.fromOpaque(easy).takeUnretainedValue().trust(in: tls)
    $0.handshakeBegan()
    return CURLE_OK
  }
}

private func requestCallback(
  _ context: UnsafeMutableRawPointer?, _: CurlBytes?, _: CurlBytes?, _: Int32, _: Int32
) -> Int32 {
  withExchange(context, otherwise: CURL_PREREQFUNC_ABORT) {
    $0.requestBegan()
    return CURL_PREREQFUNC_OK
  }
}
