import ByteSource
import Core

/// One ranged GET. It is a value, which `RangeFetch` keeps.
package struct RangeRequest: Sendable {
  /// Secret as a whole.
  package var url: Redacted<String>
  /// The bytes to fetch; not empty, inside the object.
  package var range: ByteRange
  /// The object's length, which the answer must agree with.
  package var size: Int64
  /// A reader waits for just these bytes: a rate limit lets them go first, and into debt.
  package var isUrgent: Bool
  /// The answers that are taken for the file, and the hosts that may be asked.
  package var policy: SourcePolicy
  /// On a connection of its own that nothing was sent on before; connections that are idle now are not used again.
  package var isFresh: Bool
  package init(
    url: Redacted<String>, range: ByteRange, size: Int64, isUrgent: Bool = false, policy: SourcePolicy = SourcePolicy(),
    isFresh: Bool = false
  ) {
    self.url = url
    self.range = range
    self.size = size
    self.isUrgent = isUrgent
    self.policy = policy
    self.isFresh = isFresh
  }
}

/// The receiver of a ranged GET's bytes. All calls on the transfer loop.
@TransferLoop
package protocol RangeSink: AnyObject {
  /// The answer's head was validated: status 206 and a Content-Range that has the next bytes (or 200 with the whole
  /// object for a range that begins at 0, `isWhole`), plain bytes, no web page or message in place of the file, a
  /// length that fits. Called again if a server answers with a part of the range, so that the rest is asked for.
  /// - Returns: false to end the fetch here (the validator is not the one wanted); it ends with `.cancelled`.
  func rangeBegan(_ fetch: RangeFetch, validator: Validator, isWhole: Bool) -> Bool

  /// The next bytes, from `offset` on, valid during the call; never beyond the request's range (or the object, if
  /// `isWhole`).
  /// - Returns: false if there is no room: nothing of it was taken, the fetch is paused and the same bytes come again
  ///   after `resume`.
  func rangeReceived(_ fetch: RangeFetch, bytes: UnsafeRawBufferPointer, at offset: Int64) -> Bool

  /// The end, once. nil: everything up to the range's end (or to `stop(at:)`) was handed over.
  func rangeEnded(_ fetch: RangeFetch, error: TransferError?)
}
