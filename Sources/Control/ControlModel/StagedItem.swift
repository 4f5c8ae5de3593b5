/// A staged file as people and programs see it; the shape is part of the control API. It is a plain value, a copy of
/// what the volume knew at one moment.
package struct StagedItem: Sendable, Equatable, Codable {
  package enum State: String, Sendable, Codable {
    /// Visible, with no open handles.
    case ready
    /// Open handles read from it.
    case open
    /// Unstaged or pushed out while open: its name may be gone, its bytes stay until the last close.
    case leaving
    /// The last fetch gave up; `failure` says why. The next read tries again.
    case failed
  }

  /// A process that has the file open.
  package struct Reader: Sendable, Equatable, Codable {
    package var pid: Int
    /// Its name; "" where it is not known.
    package var process: String
    /// How far it is, in bytes.
    package var position: Int64

    package init(pid: Int, process: String, position: Int64) {
      self.pid = pid
      self.process = process
      self.position = position
    }
  }

  package var id: String
  /// Absolute.
  package var path: String
  package var fileId: String
  package var name: String
  package var size: Int64
  package var recipient: String
  package var state: State
  /// Fetched fully, and kept when it is not open.
  package var pinned: Bool
  /// 1 while the item is staged; 0 once it was unstaged, or let go beyond `max_tiles`, with handles open.
  package var tileRef: Int
  /// Open handles.
  package var openRef: Int
  package var bytesFetched: Int64
  /// Bytes given to the kernel, read-ahead included.
  package var bytesServed: Int64
  package var failure: String?
  /// Its bytes stream through memory: nothing, or nothing more, of them is kept on the disk.
  package var windowed = false
  /// The furthest position of the open handles; without one, that of the last use.
  package var bytesRead: Int64 = 0
  /// One an open handle.
  package var readers: [Reader] = []
  /// Bytes a second from the origin, smoothed; nil without a client that listens to events, or if nothing moves.
  package var fetchRate: Int64?
  /// Bytes a second to readers.
  package var readRate: Int64?
  /// Time until a reader has it all or, without readers, all is fetched; nil if that is not known.
  package var etaSeconds: Int64?
  /// A hex digit for each of up to 128 equal parts of the file: 0 nothing of it is here, f all of it.
  package var map = ""

  package init(
    id: String, path: String, fileId: String, name: String, size: Int64, recipient: String, state: State,
    pinned: Bool = false,
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

  /// From the rates.
  package var eta: Int64? {
    if openRef > 0 {
      guard let readRate, readRate > 0, bytesRead < size else { return nil }
      return (size - bytesRead + readRate - 1) / readRate
    }
    guard let fetchRate, fetchRate > 0, bytesFetched < size, !windowed else { return nil }
    return (size - bytesFetched + fetchRate - 1) / fetchRate
  }
}
