import Core

/// The validators of the version of an object that bytes are of; all nil if the source names none. It is a value;
/// `SourceVersion` decides about it.
package struct Validator: Sendable, Equatable {
  /// A strong ETag, with its quotes.
  package var etag: String?
  /// Any other ETag, as it came. It proves nothing, but one that differs says that the bytes may differ.
  package var weak: String?
  package var lastModified: String?
  package init(etag: String? = nil, weak: String? = nil, lastModified: String? = nil) {
    self.etag = etag
    self.weak = weak
    self.lastModified = lastModified
  }

  /// A number for the version: odd if a strong ETag names it, so that an equal number means the same bytes; else 2,
  /// which decides nothing. Never 0.
  package var word: UInt64 { etag.map { StableHash($0).value | 1 } ?? 2 }
}
