import ByteSource
import Core
import Transfer

/// A link as an access to an object: ranges are fetched by it, under the source's policy. It is a value: `HTTPSource`
/// makes one for each link, and the file's `FetchEngine` holds it while it fetches. The network is `HTTPClient`'s.
package struct HTTPAccess: SourceAccess {
  private let link: Link
  private let size: Int64
  private let policy: SourcePolicy
  private let client: HTTPClient

  package init(link: Link, size: Int64, policy: SourcePolicy, client: HTTPClient) {
    self.link = link
    self.size = size
    self.policy = policy
    self.client = client
  }

  package var generation: Int { link.generation }
  package var expires: Moment? { link.expires }

  @TransferLoop package func fetch(_ request: SourceRequest, into sink: any ByteSink) -> any RangeInFlight {
    client.fetch(
      RangeRequest(
        url: link.url, range: request.range, size: size, isUrgent: request.isUrgent, policy: policy,
        isFresh: request.isFresh),
      sink: Forward(to: sink))
  }

  /// Hands the calls of one transfer on to a sink. The transfer owns it.
  private final class Forward: RangeSink {
    private let sink: any ByteSink

    init(to sink: any ByteSink) { self.sink = sink }

    func rangeBegan(_ fetch: RangeFetch, validator: Validator, isWhole: Bool) -> Bool {
      sink.began(validator: validator, isWhole: isWhole)
    }
    func rangeReceived(_ fetch: RangeFetch, bytes: UnsafeRawBufferPointer, at offset: Int64) -> Bool {
      sink.received(bytes, at: offset)
    }
    func rangeEnded(_ fetch: RangeFetch, error: TransferError?) { sink.ended(error?.asSourceFailure) }
  }
}

extension RangeFetch: RangeInFlight {}
