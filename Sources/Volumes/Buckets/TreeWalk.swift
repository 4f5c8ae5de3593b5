/// The entries below a folder of a version, in the order of their paths' names: the folder's own, or all of them. It
/// holds a part of the entries of each folder on the way down. A connection's thread owns the value and waits for the
/// database.
struct TreeWalk {
  private struct Frame {
    var node: Int64
    var path: BucketPath
    var entries: ArraySlice<BucketEntry> = []
    var last: BucketName?
    var isWhole = false
  }

  private let view: BucketView
  private let isDeep: Bool
  private let portion: Int
  private var frames: [Frame]

  init(_ view: BucketView, folder: BucketEntry, at path: BucketPath, isDeep: Bool) throws(BucketError) {
    self.view = view
    self.isDeep = isDeep
    portion = isDeep ? 100 : 500
    frames = [Frame(node: folder.node, path: path)]
    // Failures are told before an answer begins.
    try load()
  }

  private mutating func load() throws(BucketError) {
    let top = frames.count - 1
    let entries = try view.children(of: frames[top].node, after: frames[top].last, limit: portion)
    frames[top].entries = entries[...]
    frames[top].last = entries.last?.name
    frames[top].isWhole = entries.count < portion
  }

  mutating func next() throws(BucketError) -> (path: BucketPath, entry: BucketEntry)? {
    while let top = frames.indices.last {
      guard let entry = frames[top].entries.popFirst() else {
        if frames[top].isWhole { frames.removeLast() } else { try load() }
        continue
      }
      let path = frames[top].path.appending(entry.name)
      if isDeep, entry.isFolder {
        frames.append(Frame(node: entry.node, path: path))
        try load()
      }
      return (path, entry)
    }
    return nil
  }
}

/// An object of JSON with a list or an object in it whose elements are made while they are sent.
final class WalkStream: ReplyStream {
  /// Bytes that are made at once, about.
  private static let portion = 64 << 10

  private var walk: TreeWalk
  private var pending: [UInt8]
  private var offset = 0
  private let end: [UInt8]
  private var isFirst = true
  private var isAtEnd = false
  /// Nil for an entry that is left out.
  private let element: (BucketPath, BucketEntry) -> [UInt8]?

  /// - Parameters:
  ///   - start: what stands before the first element.
  ///   - element: its JSON, without the comma.
  init(_ walk: TreeWalk, start: [UInt8], end: [UInt8], element: @escaping (BucketPath, BucketEntry) -> [UInt8]?) {
    self.walk = walk
    pending = start
    self.end = end
    self.element = element
  }

  func fill(_ buffer: UnsafeMutableRawBufferPointer) throws(BucketError) -> Int? {
    if offset == pending.count {
      guard !isAtEnd else { return nil }
      offset = 0
      pending.removeAll(keepingCapacity: true)
      try make()
    }
    let count = min(buffer.count, pending.count - offset)
    pending.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count])) }
    offset += count
    return count
  }

  private func make() throws(BucketError) {
    while pending.count < Self.portion {
      guard let (path, entry) = try walk.next() else {
        pending += end
        isAtEnd = true
        return
      }
      guard let json = element(path, entry) else { continue }
      if !isFirst { pending.append(0x2c) }
      isFirst = false
      pending += json
    }
  }
}
