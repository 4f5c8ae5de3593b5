import Core
import Transfer

/// The address of an object's bytes for a while: a signed URL, secret as a whole. It is a value, kept in memory alone.
package struct Link: Sendable, Equatable {
  package let url: Redacted<String>
  /// Counts up with each new link of the same object, so that a failure says which one failed.
  package let generation: Int
  /// When it stops working, as far as is known: a hint, by our clock; it may stop before. nil: not known.
  package let expires: Moment?
  package init(url: Redacted<String>, generation: Int, expires: Moment? = nil) {
    self.url = url
    self.generation = generation
    self.expires = expires
  }
}

/// Hands out links to one object: the part of an HTTP origin that is a service's own. Asked for one link at a time.
@TransferLoop
package protocol LinkMaker: Sendable {
  /// A new link, of that generation.
  /// - Parameter isUrgent: a reader waits for it, so that it is asked for before links of which none does.
  func link(generation: Int, isUrgent: Bool) async throws(TransferError) -> Link
  /// A reader waits now for the link that is being asked for.
  func hurry()
}
