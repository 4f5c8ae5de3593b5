import CLinux
import Core
import EventLoop
import Glibc
import Volume
import VolumeKinds

/// A volume of a few texts in one directory, read-only: the smallest kind there can be. Each text is a file in the
/// state folder, and marked from the beginning, so that the shim serves it by itself. `TextVolume+Names` has the names.
@DispatchLoop
final class TextVolume: MountedVolume {
  let texts: [Text]
  let contents: TextContents
  private let folder: String
  /// A descriptor of the folder.
  private let root: Int32
  private weak var host: (any VolumeHost)?
  private var leases: [NodeID: any Lease] = [:]
  /// Open handles.
  private var handles: Set<HandleID> = []
  /// Called with each file that is opened.
  var opened: ((Text) -> Void)?

  struct Text: Sendable {
    var name: String
    var content: String
    var node: NodeID
    var size: Int64 { Int64(content.utf8.count) }
    /// The name of the backing file.
    var fileName: String { "\(node.rawValue).text" }
  }

  /// - Parameter folder: the volume's own; the backing files are made there.
  init(_ contents: TextContents, folder: String) throws(Errno) {
    self.folder = folder
    self.contents = contents
    texts = contents.texts.enumerated().map { Text(name: $1.name, content: $1.content, node: NodeID(UInt64($0) + 2)) }
    root = clinux_open(folder, O_RDONLY | O_DIRECTORY, 0)
    for text in texts {
      let file = clinux_open("\(folder)/\(text.fileName)", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
      defer { close(file) }
      let bytes = Array(text.content.utf8)
      guard write(file, bytes, bytes.count) == bytes.count else { throw .current }
    }
  }

  var roots: [Int32] { [root] }

  // MARK: Life

  func attach(to host: any VolumeHost) { self.host = host }

  func inherit(_ inheritance: Inheritance) async {
    handles.formUnion(inheritance.handles.keys)
    for lease in inheritance.leases { leases[lease.node] = lease }
  }

  func begin() async {}

  func stop() {}

  func remove(forget: Bool) async {
    for text in texts { unlink("\(folder)/\(text.fileName)") }
    close(root)
  }

  var isReadOnly: Bool { true }

  var statistics: VolumeStatistics {
    VolumeStatistics(bytes: texts.reduce(0) { $0 + $1.size }, files: Int64(texts.count))
  }

  func text(_ node: NodeID) -> Text? { texts.first { $0.node == node } }

  // MARK: Bytes

  func open(_ node: NodeID, handle: HandleID, reply: @escaping @Sendable (Result<LeaseID?, Errno>) -> Void) {
    guard let text = text(node) else { return reply(.failure(.stale)) }
    handles.insert(handle)
    opened?(text)
    guard text.size > 0 else { return reply(.success(nil)) }
    guard let lease = lease(text) else { return reply(.failure(.noSpace)) }
    reply(.success(lease.id))
  }

  func read(_ node: NodeID, handle: HandleID, range: ByteRange, wasBad: Bool, reply: @escaping ReadReply) {
    guard let text = text(node), lease(text) != nil else { return _ = reply(.failed(.stale)) }
    _ = reply(.bytes(ByteRange(min(range.start, text.size), min(range.end, text.size)), from: nil))
  }

  func released(_ node: NodeID, handle: HandleID, use: HandleUse) { handles.remove(handle) }

  private func lease(_ text: Text) -> (any Lease)? {
    if let lease = leases[text.node] { return lease }
    guard let lease = try? host?.grantLease(node: text.node, root: 0, name: text.fileName, length: text.size) else {
      return nil
    }
    lease.mark(0..<Int((text.size + lease.blockSize - 1) / lease.blockSize))
    leases[text.node] = lease
    return lease
  }
}
