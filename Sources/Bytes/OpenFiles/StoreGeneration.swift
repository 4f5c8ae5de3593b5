import Core

/// Numbers the stores of bytes; no two in the life of a state folder are the same, so that nothing of an old store
/// reaches a new item. Each volume counts its own. It is a plain value that `FileKeeper` draws.
package struct StoreGeneration: Hashable, Sendable {
  package var rawValue: UInt64
  package let volume: VolumeID
  package init(rawValue: UInt64, of volume: VolumeID = .staged) {
    self.rawValue = rawValue
    self.volume = volume
  }
}
