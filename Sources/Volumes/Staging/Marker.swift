import Core
import OpenFiles
import Volume

/// A file in the root of the mount that tells programs which walk whole disks to leave it alone: what is below would be
/// fetched over the network (docs/adr/0030). It is no item: nothing stages, lists or unstages it. It is a constant of a
/// fixed node; `StagedItems` shows it beside `Staged`.
enum Marker: UInt64, CaseIterable {
  /// The Cache Directory Tagging Specification: a signature in a regular file, which backup programs look for (`tar
  /// --exclude-caches`, borg, restic).
  case cacheTag = 3
  /// Media scanners pass a folder over in which this lies; its content is not looked at.
  case noMedia = 4
  /// The same for GNOME's indexer.
  case noIndex = 5

  init?(_ name: FileName) {
    guard let marker = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = marker
  }

  var node: NodeID { NodeID(rawValue) }
  /// In the listing of the root, behind `Staged`.
  var cursor: UInt64 { rawValue - 1 }
  var name: FileName {
    switch self {
    case .cacheTag: FileName("CACHEDIR.TAG")
    case .noMedia: FileName(".nomedia")
    case .noIndex: FileName(".trackerignore")
    }
  }

  static let tag = Array(
    """
    Signature: 8a477f597d28d172789f06886806bc55
    # This file is a cache directory tag created by FuseStream.
    # Files in this folder are fetched from MediaHub when they are read, so a backup would download them.
    # For information about cache directory tags see https://bford.info/cachedir/

    """.utf8)
  var content: [UInt8] { self == .cacheTag ? Self.tag : [] }

  func attributes(modified: Int64) -> Attributes {
    Attributes(node: node, kind: .file, size: Int64(content.count), modified: modified)
  }
}
