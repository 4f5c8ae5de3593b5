import Volume

/// Tells the volumes of one control plane apart; the same in every run, because names of files of bytes carry it. Never
/// 0.
package struct VolumeID: Hashable, Sendable {
  package let rawValue: UInt32
  package init(_ rawValue: UInt32) { self.rawValue = rawValue }
}

/// A file of a volume. It is a plain value.
package struct FileKey: Hashable, Sendable {
  package let volume: VolumeID
  package let node: NodeID
  package init(_ volume: VolumeID, _ node: NodeID) {
    self.volume = volume
    self.node = node
  }
}
