/// A staged file as people and programs see it; the shape is part of the control API.
package struct StagedItem: Sendable, Equatable, Codable {
  package enum State: String, Sendable, Codable {
    /// Stands; nobody has it open.
    case ready
    /// Open handles read from it.
    case open
    /// Unstaged or pushed out while open: its name may be gone, its bytes stay until the last close.
    case leaving
    /// The last fetch gave up; `failure` says why. The next read tries again.
    case failed
  }

  package var id: String
  /// Absolute.
  package var path: String
  package var fileId: String
  package var name: String
  package var size: Int64
  package var recipient: String
  package var state: State
  /// Fetched fully and kept, though nobody may have it open.
  package var pinned: Bool
  /// 1 while somebody shows the tile, else 0.
  package var tileRef: Int
  /// Open handles.
  package var openRef: Int
  package var bytesFetched: Int64
  /// Bytes given to the kernel, read-ahead included.
  package var bytesServed: Int64
  package var failure: String?
  /// Its bytes stream through memory: nothing, or nothing more, of them is kept on the disk.
  package var windowed = false

  package init(
    id: String, path: String, fileId: String, name: String, size: Int64, recipient: String, state: State, pinned: Bool = false,
    tileRef: Int, openRef: Int,
    bytesFetched: Int64, bytesServed: Int64, failure: String?
  ) {
    self.id = id
    self.path = path
    self.fileId = fileId
    self.name = name
    self.size = size
    self.recipient = recipient
    self.state = state
    self.pinned = pinned
    self.tileRef = tileRef
    self.openRef = openRef
    self.bytesFetched = bytesFetched
    self.bytesServed = bytesServed
    self.failure = failure
  }
}
