import CWire
import Core

/// The shim's own counters, as the region's header has them.
package struct ShimCounters: Codable, Equatable, Sendable {
  /// READs answered from a lease, without the control plane.
  package var leased: UInt64
  /// Requests handed to the control plane.
  package var forwarded: UInt64
  /// Requests that found no free slot and waited for one.
  package var slotsFull: UInt64
  /// OPENs answered ENFILE for want of a handle row.
  package var handlesFull: UInt64
  /// Values of the control plane that the shim dropped as out of range.
  package var hostile: UInt64
  /// Requests answered EINTR to a dying caller.
  package var cancelled: UInt64
  /// Bytes answered from leases.
  package var bytesLeased: UInt64
}

/// Fields of the header, each with the side that may write it in `fsmvp_wire.h`; no state is kept here, and any thread
/// may call.
extension Region {
  package var counters: ShimCounters {
    ShimCounters(
      leased: header.load(HeaderField.countLeased), forwarded: header.load(HeaderField.countForwarded),
      slotsFull: header.load(HeaderField.countSlotsFull), handlesFull: header.load(HeaderField.countHandlesFull),
      hostile: header.load(HeaderField.countHostile), cancelled: header.load(HeaderField.countCancelled),
      bytesLeased: header.load(HeaderField.bytesLeased))
  }

  /// Counts takeovers; the shim that mounted is 1.
  package var epoch: UInt64 { header.load(HeaderField.epoch) }
  /// Rises after each handle that became RELEASED.
  package var releasedCount: UInt64 { fsmvp_load_acquire(header.word(HeaderField.released)) }

  /// The folder on which the shim that made the mount says that it made it.
  package var mountpoint: String {
    String(
      decoding: header.copyOut(HeaderField.mountpoint, count: Int(FSMVP_MOUNTPOINT_MAX)).prefix { $0 != 0 },
      as: UTF8.self)
  }

  /// Names this process as the control plane; nil: there is none.
  package func setControl(pid: Int32?) {
    fsmvp_store_release(header.word(HeaderField.control), pid.map { ProcessIdentity.of($0) } ?? 0)
  }

  /// The number under /sys/fs/fuse/connections, as control found it; 0 before that.
  package var connection: UInt64 { header.load(HeaderField.connection) }
  package func setConnection(_ number: UInt64) { header.store(HeaderField.connection, number) }

  /// The number of the volume that is served here; 0 before it is set.
  package var volume: UInt64 { header.load(HeaderField.volume) }
  package func setVolume(_ number: UInt64) { header.store(HeaderField.volume, number) }
  /// The mount was made so, as the next one.
  package var isReadOnly: Bool { header.load32(HeaderField.volumeFlags) & FSMVP_VOLUME_READ_ONLY != 0 }
  package var allowsOther: Bool { header.load32(HeaderField.volumeFlags) & FSMVP_VOLUME_ALLOW_OTHER != 0 }

  /// Whether the kernel is known to have no way of forgetting all names at once.
  package var lacksEpochs: Bool {
    fsmvp_load_acquire32(header.half(HeaderField.epochs)) == FSMVP_EPOCHS_LACKING.rawValue
  }

  /// Figures for `df`, in blocks of 4 KiB and numbers of files. There is no free space: nothing is written here.
  package func setStatistics(bytes: Int64, files: Int64) {
    let blocks = UInt64(max(0, bytes)) / 4096 + (max(0, bytes) % 4096 == 0 ? 0 : 1)
    header.store(HeaderField.statfsBlocks, blocks)
    header.store(HeaderField.statfsFree, 0)
    header.store(HeaderField.statfsFiles, UInt64(max(0, files)))
  }

  /// One past the last row of the ring that was ever used, made to fit the table whatever the header says.
  var slotsHigh: Int {
    min(max(Int(fsmvp_load_acquire32(header.half(HeaderField.slotsHigh))), Int(FSMVP_SLOTS_RESERVED)), Int(FSMVP_SLOTS))
  }

  var handlesHigh: Int { min(Int(fsmvp_load_acquire32(header.half(HeaderField.handlesHigh))), Int(FSMVP_HANDLES)) }
}
