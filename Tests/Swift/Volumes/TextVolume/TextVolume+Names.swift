import Core
import EventLoop
import Glibc
import Volume

/// The contents of a `TextVolume`: texts, symbolic links, and a directory with many empty files. It is a plain value.
package struct TextContents: Sendable {
  package var texts: [(name: String, content: String)]
  package var links: [(name: String, target: String)] = []
  /// Files in the directory `crowd`; 0: there is no such directory.
  package var crowd = 0
  /// Names that are looked up on a worker thread.
  package var slowNames: Set<String> = []
  /// Permissions of the texts, and their times: the day on which they were modified, read and changed.
  package var permissions: UInt16 = 0o640
  package init(_ texts: [(name: String, content: String)]) { self.texts = texts }
}

/// The names of a text volume, answered at once but for the slow ones. All of it is fixed, so that the kernel may keep
/// it without end; a crowd's files are kept for a minute, for the sake of the example.
extension TextVolume {
  private static let day: Int64 = 86_400_000_000_000
  private static let made: Int64 = 1_700_000_000_000_000_000
  private static let firstLink: UInt64 = 1000
  private static let crowd = NodeID(1 << 20)

  var hasExtendedAttributes: Bool { true }

  func directoriesToForget() async -> [NodeID] { [.root, Self.crowd] }

  func lookup(_ name: FileName, in directory: NodeID, reply: AttributesReply) {
    let found = Result { () throws(Errno) in try find(name, in: directory) }
    guard contents.slowNames.contains(name.description) else { return reply(found) }
    EventLoop.dispatch.background({ reply(found) }) { _ in }
  }

  private func find(_ name: FileName, in directory: NodeID) throws(Errno) -> Attributes {
    if directory == Self.crowd {
      let text = name.description
      guard let number = Int(text.dropFirst(5)), number < contents.crowd, name == Self.crowdName(number) else {
        throw .noEntry
      }
      return crowdAttributes(number)
    }
    guard directory == .root else { throw .notDirectory }
    guard let entry = rootEntries.first(where: { $0.name == name }) else { throw .noEntry }
    return entry.attributes
  }

  func attributes(of node: NodeID, reply: AttributesReply) {
    reply { () throws(Errno) in
      if node == .root { return Attributes(node: .root, kind: .directory, modified: Self.made) }
      if node.rawValue > Self.crowd.rawValue { return crowdAttributes(Int(node.rawValue - Self.crowd.rawValue) - 1) }
      guard let entry = rootEntries.first(where: { $0.attributes.node == node }) else { throw .stale }
      return entry.attributes
    }
  }

  func list(_ directory: NodeID, after cursor: UInt64, to listing: any Listing) {
    listing.finish { () throws(Errno) in
      if directory == Self.crowd {
        for number in Int(cursor)..<max(Int(cursor), contents.crowd) {
          guard listing.add(Self.crowdName(number), cursor: UInt64(number) + 1, crowdAttributes(number)) else { return }
        }
        return
      }
      guard directory == .root else { throw .notDirectory }
      for entry in rootEntries where entry.attributes.node.rawValue > cursor {
        guard listing.add(entry.name, cursor: entry.attributes.node.rawValue, entry.attributes) else { return }
      }
    }
  }

  // MARK: Links and extended attributes

  func target(of link: NodeID, reply: BytesReply) {
    guard link.rawValue >= Self.firstLink, link.rawValue < Self.firstLink + UInt64(contents.links.count) else {
      return reply(.failure(.invalid))
    }
    reply(.success(Array(contents.links[Int(link.rawValue - Self.firstLink)].target.utf8)))
  }

  /// `user.words` of a text: how many there are.
  func extendedAttribute(_ name: String, of node: NodeID, reply: BytesReply) {
    guard name == "user.words", let text = text(node) else { return reply(.failure(Errno(ENODATA))) }
    reply(.success(Array("\(text.content.split(separator: " ").count)".utf8)))
  }

  func extendedAttributes(of node: NodeID, reply: BytesReply) {
    reply(.success(text(node) == nil ? [] : Array("user.words".utf8) + [0]))
  }

  // MARK: Entries

  /// By rising node, which is their cursor, too.
  private var rootEntries: [(name: FileName, attributes: Attributes)] {
    var entries = texts.map { text in
      var attributes = Attributes(node: text.node, kind: .file, size: text.size, modified: Self.made)
      attributes.permissions = contents.permissions
      attributes.accessed = Self.made + Self.day
      attributes.changed = Self.made + 2 * Self.day
      return (FileName(text.name), attributes)
    }
    for (index, link) in contents.links.enumerated() {
      let node = NodeID(Self.firstLink + UInt64(index))
      entries.append(
        (
          FileName(link.name),
          Attributes(node: node, kind: .symbolicLink, size: Int64(link.target.utf8.count), modified: Self.made)
        ))
    }
    if contents.crowd > 0 {
      entries.append((FileName("crowd"), Attributes(node: Self.crowd, kind: .directory, modified: Self.made)))
    }
    return entries
  }

  private static func crowdName(_ number: Int) -> FileName { FileName("file \(number)") }

  private func crowdAttributes(_ number: Int) -> Attributes {
    var attributes = Attributes(
      node: NodeID(Self.crowd.rawValue + 1 + UInt64(number)), kind: .file, size: Int64(number), modified: Self.made)
    attributes.entryTimeout = .milliseconds(60_000)
    attributes.attributesTimeout = .milliseconds(60_000)
    return attributes
  }
}
