import CCurl
import Core

/// A request on its way, as libcurl's callbacks see it. Each may end the exchange; none is called after that.
/// `RangeFetch` and `SmallExchange` are the two kinds; `EasyHandle` calls them, on the transfer loop, and `HTTPClient`
/// looks at their clocks.
@TransferLoop
protocol Exchange: AnyObject {
  /// A connection stands and TLS begins on it, to the server or to the proxy.
  func handshakeBegan()
  /// A connection stands and the request goes out; again for each redirect.
  func requestBegan()
  /// A line of a head. false ends the transfer.
  func headReceived(_ line: UnsafeRawBufferPointer) -> Bool
  func bodyReceived(_ bytes: UnsafeRawBufferPointer) -> BodyVerdict
  /// libcurl is done with it, for better or worse.
  func transferEnded(_ result: CurlResult)
  /// Once a tick; ends the exchange if its phase has lasted too long.
  func checkClock(now: Moment)
}

enum BodyVerdict { case taken, pause, end }

/// libcurl's word on a transfer.
struct CurlResult {
  var code: CURLcode
  /// libcurl's short text, free of URLs.
  var text: String

  /// - Parameters:
  ///   - phase: where it was, for a time-out.
  ///   - short: the error of a body that ended early.
  func error(phase: PhaseClock.Phase, short: @autoclosure () -> TransferError) -> TransferError {
    switch code {
    case CURLE_OPERATION_TIMEDOUT: .timedOut(phase: phase.rawValue)
    case CURLE_PARTIAL_FILE: short()
    case CURLE_TOO_MANY_REDIRECTS: .wrongAnswer("redirected more than \(EasyHandle.redirectLimit) times")
    case CURLE_URL_MALFORMAT: .refused("The service gave a link that is not a URL.")
    case CURLE_UNSUPPORTED_PROTOCOL, CURLE_WEIRD_SERVER_REPLY, CURLE_BAD_CONTENT_ENCODING: .wrongAnswer(text)
    default: .unreachable(text)
    }
  }
}
