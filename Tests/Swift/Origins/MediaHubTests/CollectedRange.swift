import ByteSource
import Core
import HTTPSource
import Transfer

/// Fetches one range through a link into memory.
@TransferLoop
final class CollectedRange: RangeSink {
  private var bytes: [UInt8] = []
  private let done: CheckedContinuation<Result<[UInt8], TransferError>, Never>

  private init(_ done: CheckedContinuation<Result<[UInt8], TransferError>, Never>) { self.done = done }

  static func fetch(_ range: ByteRange, of origin: HTTPSource, link: Link, _ http: HTTPClient)
    async throws(TransferError) -> [UInt8]
  {
    // The client holds the sink weakly or strongly as it likes.
    var sink: CollectedRange?
    let result = await withCheckedContinuation { continuation in
      let made = CollectedRange(continuation)
      sink = made
      _ = http.fetch(RangeRequest(url: link.url, range: range, size: origin.size), sink: made)
    }
    return try withExtendedLifetime(sink) { () throws(TransferError) in try result.get() }
  }

  func rangeBegan(_ fetch: RangeFetch, validator: Validator, isWhole: Bool) -> Bool { true }
  func rangeReceived(_ fetch: RangeFetch, bytes: UnsafeRawBufferPointer, at offset: Int64) -> Bool {
    self.bytes.append(contentsOf: bytes)
    return true
  }
  func rangeEnded(_ fetch: RangeFetch, error: TransferError?) {
    done.resume(returning: error.map(Result.failure) ?? .success(bytes))
  }
}
