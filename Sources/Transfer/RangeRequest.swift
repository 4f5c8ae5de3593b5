import Core

/// One ranged GET.
package struct RangeRequest: Sendable {
  package var link: Link
  /// What to fetch; not empty, inside the object.
  package var range: ByteRange
  /// The object's length, which the answer must agree with.
  package var size: Int64
  /// Somebody waits for just these bytes: a rate limit lets them go first, and into debt.
  package var isUrgent: Bool
  package init(link: Link, range: ByteRange, size: Int64, isUrgent: Bool = false) {
    self.link = link
    self.range = range
    self.size = size
    self.isUrgent = isUrgent
  }
}

/// Who gets the bytes of a ranged GET. All calls on the transfer loop.
@TransferLoop
package protocol RangeSink: AnyObject {
  /// The answer's head was validated: status 206 and Content-Range as asked (or 200 with the whole object for a range that begins at 0, `isWhole`),
  /// identity encoding, not HTML or JSON, a length that fits.
  /// - Returns: false to end the fetch here (the validator is not the one wanted); it ends with `.sourceChanged`.
  func rangeBegan(_ fetch: RangeFetch, validator: Validator, isWhole: Bool) -> Bool

  /// The next bytes, from `offset` on, valid during the call; never beyond the request's range (or the object, if `isWhole`).
  /// - Returns: false if there is no room: nothing of it was taken, the fetch is paused and the same bytes come again after `resume`.
  func rangeReceived(_ fetch: RangeFetch, bytes: UnsafeRawBufferPointer, at offset: Int64) -> Bool

  /// The end, once. nil: everything up to the range's end (or to `stop(at:)`) was handed over.
  func rangeEnded(_ fetch: RangeFetch, error: TransferError?)
}
