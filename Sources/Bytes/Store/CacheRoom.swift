import Core
import Glibc

/// How much of a disk files of bytes may take. The types of this file are values: figures and arithmetic without input
/// or output.
package struct CacheLimits: Sendable, Equatable {
  /// Bytes of all files of a folder together, written and promised; 0: 70 % of its file system.
  package var maxCache: Int64 = 0
  /// Bytes that stay free on the file system for other programs; nil: the smaller of 1 GiB and 5 % of it.
  package var minFree: Int64?
  package init() {}
}

/// A folder's file system at one moment, and the limits as figures. All in bytes.
package struct CacheSpace: Sendable, Equatable {
  package var total: Int64
  /// Free space for users other than root.
  package var free: Int64
  package var limit: Int64
  package var minFree: Int64

  package init(total: Int64, free: Int64, limits: CacheLimits) {
    self.total = total
    self.free = free
    limit = limits.maxCache > 0 ? limits.maxCache : total / 10 * 7
    minFree = limits.minFree ?? min(1 << 30, total / 20)
  }

  /// The bytes that files can really have, given that they have `held` bytes now: `limit`, or less if the disk has
  /// less.
  package func limit(holding held: Int64) -> Int64 {
    let room = max(0, free - min(free, minFree))
    return min(limit, min(room, .max - max(0, held)) + max(0, held))
  }
}

/// The other figures that count when a file is to be made: the limits, and space promised and taken already.
struct CacheClaims: Sendable {
  var limits = CacheLimits()
  /// Reservations of the other stores.
  var others: [CacheFolder.Reservation] = []
  /// Bytes in the folder that are no store's: of closed ones whose space is not free yet, of earlier runs.
  var beside: Int64 = 0

  /// Whether a file of `size` bytes, `used` of which are on the disk already, has room on the file system `device`.
  /// - Parameter folder: its name, for the sentence.
  func check(size: Int64, used: Int64, on device: UInt64, _ space: CacheSpace, folder: String) throws(SparseStore
    .Failure)
  {
    var taken = beside
    var promised: Int64 = 0
    for other in others where other.device == nil || other.device == device {
      taken = Self.sum(taken, other.size)
      promised = Self.sum(promised, other.bytes)
    }
    let needed = max(0, size - used)
    let beyondLimit = Self.sum(taken, size) - space.limit
    if beyondLimit > 0 {
      throw .noRoom(
        short: beyondLimit,
        "no room in \(folder): \(ByteCount.format(size)) needed, \(ByteCount.format(taken)) of at most "
          + "\(ByteCount.format(space.limit)) taken; "
          + "free some with `fsmvp cache clear` or `fsmvp unstage`, or raise `max_cache`")
    }
    let beyondFree = Self.sum(Self.sum(promised, space.minFree), needed) - space.free
    guard beyondFree > 0 else { return }
    let kept = promised > 0 ? ", \(ByteCount.format(promised)) of them for other files" : ""
    let spared = space.minFree > 0 ? ", and \(ByteCount.format(space.minFree)) to stay free (`min_free`)" : ""
    throw .noRoom(
      short: beyondFree,
      "no room in \(folder): \(ByteCount.format(needed)) needed, \(ByteCount.format(space.free)) free\(kept)\(spared); "
        + "make room on that disk, or set `temp_dir` to a folder on a larger one")
  }

  /// At most 2^62, so that what is done with it does not overflow.
  private static func sum(_ a: Int64, _ b: Int64) -> Int64 {
    min(1 << 62, max(0, a)) + min((1 << 62) - min(1 << 62, max(0, a)), max(0, b))
  }
}

extension Errno {
  /// This process, or this machine, has no descriptor or no memory left: it says nothing about the file.
  package var isShortage: Bool { [EMFILE, ENFILE, ENOMEM, EAGAIN].contains(code) }
  /// The disk, or its owner's share of it, is full.
  package var isNoSpace: Bool { code == ENOSPC || code == EDQUOT }
}
