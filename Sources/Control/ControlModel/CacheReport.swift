/// The bytes that are here, whose they are and how much room there is; the shape is part of the control API. Figures
/// are bytes. It is a plain value.
package struct CacheReport: Sendable, Equatable, Codable {
  package struct Item: Sendable, Equatable, Codable {
    package var id: String
    package var name: String
    /// Here; or left by an earlier run, for its next open.
    package var bytes: Int64
    package var pinned: Bool
    /// Whether handles are open.
    package var open: Bool
    /// Seconds since 1970: when it was last closed, fetched ahead or taken over; missing before.
    package var lastUsed: Int64?

    package init(id: String, name: String, bytes: Int64, pinned: Bool, open: Bool, lastUsed: Int64?) {
      self.id = id
      self.name = name
      self.bytes = bytes
      self.pinned = pinned
      self.open = open
      self.lastUsed = lastUsed
    }
  }

  /// Bytes left by earlier runs; the next open of their item may use them.
  package struct Leftovers: Sendable, Equatable, Codable {
    package var files: Int
    package var bytes: Int64
    package init(files: Int, bytes: Int64) {
      self.files = files
      self.bytes = bytes
    }
  }

  package var folder: String
  /// In all: of items, and on their way out.
  package var bytes: Int64
  /// Promised to items that are being fetched, and not yet written.
  package var reserved: Int64
  /// Most that `bytes` and `reserved` may come to together.
  package var limit: Int64
  /// On the file system.
  package var free: Int64
  /// Space that has to stay free on the file system.
  package var minFree: Int64
  /// The part of `bytes` that earlier runs left.
  package var leftovers: Leftovers
  /// The part of `bytes` that was dropped and is not yet free on the disk.
  package var leaving: Int64
  /// In memory, of items that have no file.
  package var windowBytes: Int64 = 0
  package var windowLimit: Int64 = 0
  /// By order of staging; those with bytes here, and pinned ones.
  package var items: [Item]

  package init(
    folder: String, bytes: Int64, reserved: Int64, limit: Int64, free: Int64, minFree: Int64, leftovers: Leftovers,
    leaving: Int64,
    items: [Item]
  ) {
    self.folder = folder
    self.bytes = bytes
    self.reserved = reserved
    self.limit = limit
    self.free = free
    self.minFree = minFree
    self.leftovers = leftovers
    self.leaving = leaving
    self.items = items
  }
}

/// The result of clearing the cache.
package struct CacheCleared: Sendable, Equatable, Codable {
  /// Items that lost bytes.
  package var items: Int
  package var bytes: Int64
  package init(items: Int, bytes: Int64) {
    self.items = items
    self.bytes = bytes
  }
}
