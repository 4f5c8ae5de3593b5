import CCurl
import Glibc

/// One HTTP request to the control plane's socket, as a libcurl handle. It owns the handle and the body so far, and
/// forgetting it ends it.
///
/// It never waits itself. `SocketClient` or `EventStream` makes it, adds the handle to a libcurl multi handle of its
/// own and waits there; everything here, the callback included, runs on that thread.
final class APITransfer {
  enum Outcome {
    /// - Parameter next: the target of the part of a list that follows.
    case answered(status: Int, body: [UInt8], next: String?)
    /// No process listens at the socket; the errno of connect, 0 if libcurl does not say it.
    case unconnected(Int32)
    /// The connection ended early, or what came is no HTTP; libcurl's words.
    case broken(String)
  }

  /// Nothing we ask for is larger; a list of 100,000 items is some 40 MB.
  private static let limit = 256 << 20

  let easy: OpaquePointer
  private let headers: UnsafeMutablePointer<curl_slist>?
  private var body: [UInt8] = []
  /// Gets a successful answer's bytes instead of `body`; false ends the transfer.
  private let stream: ((UnsafeRawBufferPointer) -> Bool)?

  /// - Parameters:
  ///   - target: path and query, encoded.
  ///   - stream: gets what a successful answer's body is, as it comes.
  init?(
    method: String, target: String, body: [UInt8]?, socket: String,
    streamingTo stream: ((UnsafeRawBufferPointer) -> Bool)? = nil
  ) {
    guard let easy = curl_easy_init() else { return nil }
    self.easy = OpaquePointer(easy)
    self.stream = stream
    headers = body == nil ? nil : curl_slist_append(nil, "Content-Type: application/json")
    let context = Unmanaged.passUnretained(self).toOpaque()
    let received: curl_write_callback = { @Sendable bytes, size, count, context in
      guard let bytes, let context else { return 0 }
      let transfer = Unmanaged<APITransfer>.fromOpaque(context).takeUnretainedValue()
      let piece = UnsafeRawBufferPointer(start: bytes, count: size * count)
      if let stream = transfer.stream, ccurl_local_status(UnsafeMutableRawPointer(transfer.easy)) == 200 {
        return stream(piece) ? piece.count : 0
      }
      guard transfer.body.count + piece.count <= APITransfer.limit else { return 0 }
      transfer.body.append(contentsOf: piece)
      return piece.count
    }
    let code = socket.withCString { socket in
      "http://localhost\(target)".withCString { url in
        method.withCString { method in
          (body ?? []).withUnsafeBytes { bytes in
            // An empty array has no address, which would mean no body.
            let text = body == nil ? nil : bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
            var request = ccurl_local_request(
              socket: socket, url: url, method: method, body: text, body_length: curl_off_t(bytes.count),
              headers: headers,
              received: received, context: context)
            return ccurl_local_prepare(easy, &request)
          }
        }
      }
    }
    guard code == CURLE_OK else { return nil }
  }

  deinit {
    curl_easy_cleanup(UnsafeMutableRawPointer(easy))
    curl_slist_free_all(headers)
  }

  /// The target of the header `Link`, if it says `rel="next"` (RFC 8288).
  private var next: String? {
    var header: UnsafeMutablePointer<curl_header>?
    guard curl_easy_header(UnsafeMutableRawPointer(easy), "Link", 0, UInt32(CURLH_HEADER), -1, &header) == CURLHE_OK,
      let header
    else {
      return nil
    }
    let text = String(cString: header.pointee.value)
    guard text.hasPrefix("</"), text.hasSuffix(">; rel=\"next\"") else { return nil }
    return String(text.dropFirst().prefix { $0 != ">" })
  }

  /// Once libcurl reported the end.
  func outcome(_ code: CURLcode) -> Outcome {
    let handle = UnsafeMutableRawPointer(easy)
    switch code {
    case CURLE_OK: return .answered(status: ccurl_local_status(handle), body: body, next: next)
    case CURLE_COULDNT_CONNECT: return .unconnected(Int32(truncatingIfNeeded: ccurl_local_errno(handle)))
    default: return .broken(String(cString: curl_easy_strerror(code)))
    }
  }
}
