import Core

/// One range of a source's object to fetch.
package struct SourceRequest: Sendable {
  /// The bytes to fetch; not empty, inside the object.
  package var range: ByteRange
  /// A reader waits for just these bytes: a rate limit lets them go first, and into debt.
  package var isUrgent: Bool
  /// On a connection of its own that nothing was sent on before; connections that are idle now are not used again.
  package var isFresh: Bool
  package init(range: ByteRange, isUrgent: Bool = false, isFresh: Bool = false) {
    self.range = range
    self.isUrgent = isUrgent
    self.isFresh = isFresh
  }
}

/// A range on its way. Its sink is told the end, once. The source makes it for `FetchEngine`, whose `Flight` is the
/// sink; both live on the transfer loop.
@TransferLoop
package protocol RangeInFlight: AnyObject {
  /// A rate limit of ours keeps its bytes back, so the time without bytes is not the source's fault.
  var isHeldBack: Bool { get }
  /// Ends it without a failure once `offset` is reached (at once, if it is already).
  func stop(at offset: Int64)
  /// After a `received` that said false. May call back before it returns.
  func resume()
  /// Ends it with `.cancelled`, called back before this returns.
  func cancel()
}

/// The receiver of a range's bytes. All calls on the transfer loop.
@TransferLoop
package protocol ByteSink: AnyObject {
  /// The answer's head came and was judged: it holds the next bytes of the range, of an object of the source's size.
  /// Called again if a source answers in parts.
  /// - Parameters:
  ///   - validator: of the version that the bytes are of.
  ///   - isWhole: the object comes from 0 to its end in place of the range, which begins at 0.
  /// - Returns: false to end it here; it ends with `.cancelled`.
  func began(validator: Validator, isWhole: Bool) -> Bool
  /// The next bytes, from `offset` on, valid during the call; never beyond the range (or the object, if `isWhole`).
  /// - Returns: false if there is no room: nothing of it was taken, the range is paused and the same bytes come again
  ///   after `resume`.
  func received(_ bytes: UnsafeRawBufferPointer, at offset: Int64) -> Bool
  /// The end, once. nil: everything up to the range's end (or to `stop(at:)`) was handed over.
  func ended(_ failure: SourceFailure?)
}
