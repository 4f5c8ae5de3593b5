import Core
// Interface for those who build against it meanwhile; the real files replace this one.
@TransferLoop
package final class RangeFetch {
  package let request: RangeRequest
  /// The offset of the next byte to be handed over.
  package private(set) var position: Int64
  init(request: RangeRequest) { self.request = request; position = request.range.start }
  /// Ends the fetch without error once `offset` is reached (at once, if it is already); for bytes that somebody else fetches meanwhile.
  package func stop(at offset: Int64) { preconditionFailure() }
  /// After a `rangeReceived` that said false. May call back before it returns.
  package func resume() { preconditionFailure() }
  /// Ends it with `.cancelled`, called back before this returns.
  package func cancel() { preconditionFailure() }
}
@TransferLoop
package final class HTTPClient {
  package struct Options: Sendable {
    package var connectTimeout: Duration = .seconds(10)
    package var headerTimeout: Duration = .seconds(30)
    /// No byte for so long is a failure; how long a whole body takes is bounded by nothing.
    package var idleTimeout: Duration = .seconds(30)
    package var maxConnections = 48
    package init() {}
  }
  package init(options: Options = Options()) {}
  package func perform(_ request: HTTPRequest) async throws(TransferError) -> HTTPResponse { preconditionFailure() }
  /// Starts the GET; calls to the sink come later, never before this returns.
  package func fetch(_ request: RangeRequest, sink: any RangeSink) -> RangeFetch { preconditionFailure() }
}
