import Core

/// Where an object's bytes can be had for a while: a signed URL, secret as a whole.
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

/// An object on a remote server, of known length, that ranges can be fetched from.
package protocol Origin: Sendable {
  /// The object's length in bytes.
  var size: Int64 { get }
  /// A link to fetch from. With `replacing`, another than that one: it no longer works (401, 403, 410), or will soon not (`Link.expires`). Another is
  /// minted, once for all who ask at the same time; who asks with a link that was replaced already gets the one that replaced it. Where that
  /// fails nothing has changed: a link that still works may be used on.
  @TransferLoop func link(replacing stale: Link?) async throws(TransferError) -> Link
}

/// What identifies a version of the bytes behind a link; both nil where the server says nothing.
package struct Validator: Sendable, Equatable {
  /// A strong ETag, with its quotes; weak ones are not kept.
  package var etag: String?
  package var lastModified: String?
  package init(etag: String? = nil, lastModified: String? = nil) {
    self.etag = etag
    self.lastModified = lastModified
  }

  /// A number that tells versions apart: by the ETag, else by the date; 0 where the server says nothing.
  package var version: UInt64 { (etag ?? lastModified).map { max(1, StableHash($0).value) } ?? 0 }
}
