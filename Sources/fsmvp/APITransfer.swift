import CCurl
import Glibc

/// One HTTP request to the control plane's socket, as a libcurl handle. Forgetting it ends it.
final class APITransfer {
  enum Outcome {
    case answered(status: Int, body: [UInt8])
    /// Nobody listens at the socket; the errno of connect, 0 where libcurl does not say.
    case unconnected(Int32)
    /// The connection ended early, or what came is no HTTP; libcurl's words.
    case broken(String)
  }

  /// Nothing we ask for is larger; a list of 100,000 items is some 40 MB.
  private static let limit = 256 << 20

  let easy: OpaquePointer
  private let headers: UnsafeMutablePointer<curl_slist>?
  private var body: [UInt8] = []

  /// - Parameter target: path and query, encoded.
  init?(method: String, target: String, body: [UInt8]?, socket: String) {
    guard let easy = curl_easy_init() else { return nil }
    self.easy = OpaquePointer(easy)
    headers = body == nil ? nil : curl_slist_append(nil, "Content-Type: application/json")
    let context = Unmanaged.passUnretained(self).toOpaque()
    let received: curl_write_callback = { @Sendable bytes, size, count, context in
      guard let bytes, let context else { return 0 }
      let transfer = Unmanaged<APITransfer>.fromOpaque(context).takeUnretainedValue()
      let piece = UnsafeRawBufferPointer(start: bytes, count: size * count)
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
              socket: socket, url: url, method: method, body: text, body_length: curl_off_t(bytes.count), headers: headers,
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

  /// Once libcurl reported the end.
  func outcome(_ code: CURLcode) -> Outcome {
    let handle = UnsafeMutableRawPointer(easy)
    switch code {
    case CURLE_OK: return .answered(status: ccurl_local_status(handle), body: body)
    case CURLE_COULDNT_CONNECT: return .unconnected(Int32(truncatingIfNeeded: ccurl_local_errno(handle)))
    default: return .broken(String(cString: curl_easy_strerror(code)))
    }
  }
}
