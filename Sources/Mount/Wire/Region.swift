import CLinux
import CWire
import Core
import Glibc

/// Why a descriptor is not taken for a region.
package enum RegionError: Error, Equatable, Sendable, CustomStringConvertible {
  case notSealed
  case notAFile
  case unreadable(Errno)
  case notOurs
  case otherABI
  case otherFeatures
  case badSections

  package var description: String {
    switch self {
    case .notSealed: "the region is not sealed against shrinking and growing"
    case .notAFile: "the region is no memory file"
    case .unreadable(let errno): "the region cannot be mapped: \(errno)"
    case .notOurs: "the region does not begin with our magic number"
    case .otherABI: "the region is laid out for another version of FuseStream"
    case .otherFeatures:
      "the region needs a feature that this version of FuseStream lacks, or lacks one that it needs: use the version "
        + "that made the mount"
    case .badSections: "the region's directory of sections does not fit its size"
    }
  }
}

/// The memory shared with the shim, mapped. It stays mapped as long as anything refers to it, so that a late answer
/// (from a store's thread, after the mount has ended) writes to unused memory instead of to an unmapped address.
/// `ShimHost` maps it when a mount starts, or `Survivor` where shims are adopted, and it keeps nothing but the mapping.
// SAFETY: every access to a shared field is atomic (`SharedBytes`); the table in `fsmvp_wire.h`, not this class, says
// which side may write which field.
package final class Region: @unchecked Sendable {
  let header: SharedBytes
  private let size: Int
  // Read from the directory once, from a private copy, and never again: the other side can still write it.
  private let offsets: [Int]

  /// Maps `descriptor`, which stays the caller's.
  package init(descriptor: Int32) throws(RegionError) {
    // Seals first: only then is the size that fstat tells the size for good, and no later access can be past the end.
    let shrinkAndGrow: Int32 = 0x2 | 0x4
    let seals = clinux_get_seals(descriptor)
    guard seals >= 0, seals & shrinkAndGrow == shrinkAndGrow else { throw .notSealed }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .unreadable(.current) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notAFile }
    guard status.st_size >= Int(FSMVP_HEADER_SIZE) else { throw .notOurs }
    size = status.st_size
    let mapped = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    guard let base = mapped, Int(bitPattern: base) != -1 else { throw .unreadable(.current) }

    let copy = UnsafeMutablePointer<fsmvp_header>.allocate(capacity: 1)
    defer { copy.deallocate() }
    UnsafeMutableRawPointer(copy).copyMemory(from: base, byteCount: Int(FSMVP_HEADER_SIZE))
    let verdict = fsmvp_region_check(copy, UInt64(size))
    guard verdict == 0 else {
      munmap(base, size)
      switch verdict {
      case -EPROTO: throw .notOurs
      case -EPROTONOSUPPORT: throw .otherABI
      case -EOPNOTSUPP: throw .otherFeatures
      default: throw .badSections
      }
    }
    let directory = UnsafeRawPointer(copy) + HeaderField.sections
    // The check above bounded them by `size`.
    offsets = (0..<Int(FSMVP_SECTION_COUNT.rawValue)).map {
      Int(directory.load(fromByteOffset: $0 * 16, as: UInt64.self))
    }
    header = SharedBytes(base: base)
  }

  deinit { munmap(header.base, size) }

  private func row(_ section: fsmvp_section_id, _ index: Int, of count: UInt32, stride: Int) -> SharedBytes {
    precondition(index >= 0 && index < Int(count), "row \(index) of \(count)")
    return SharedBytes(base: header.base + offsets[Int(section.rawValue)] + index * stride)
  }

  /// The receive buffer of one worker; begins with the length of the request in it, 0 for none.
  func receive(_ index: Int) -> SharedBytes {
    row(FSMVP_SECTION_RECEIVE, index, of: FSMVP_WORKERS_MAX, stride: Int(FSMVP_RECEIVE_SIZE))
  }
  func slotWord(_ index: Int) -> UnsafeMutablePointer<UInt64> {
    row(FSMVP_SECTION_WORDS, index, of: FSMVP_SLOTS, stride: 8).word(0)
  }
  func slot(_ index: Int) -> SharedBytes {
    row(FSMVP_SECTION_SLOTS, index, of: FSMVP_SLOTS, stride: Int(FSMVP_SLOT_SIZE))
  }
  /// The row for that many bytes of an answer, of a slot that has one for so many.
  func payload(_ index: Int, for count: Int) -> SharedBytes {
    count <= Int(FSMVP_PAYLOAD_SIZE)
      ? row(FSMVP_SECTION_PAYLOAD, index, of: FSMVP_SLOTS, stride: Int(FSMVP_PAYLOAD_SIZE))
      : row(FSMVP_SECTION_LISTINGS, index, of: FSMVP_SLOTS_RESERVED, stride: Int(FSMVP_LISTING_SIZE))
  }
  func handle(_ index: Int) -> SharedBytes {
    row(FSMVP_SECTION_HANDLES, index, of: FSMVP_HANDLES, stride: Int(FSMVP_HANDLE_SIZE))
  }
  func lease(_ index: Int) -> SharedBytes {
    row(FSMVP_SECTION_LEASES, index, of: FSMVP_LEASES, stride: Int(FSMVP_LEASE_SIZE))
  }
  func mapWord(_ index: Int) -> UnsafeMutablePointer<UInt64> {
    row(FSMVP_SECTION_MAPS, index, of: FSMVP_MAP_BYTES / 8, stride: 8).word(0)
  }
  func frame(_ index: Int) -> UnsafeMutablePointer<UInt64> {
    row(FSMVP_SECTION_FRAMES, index, of: FSMVP_FRAMES, stride: 8).word(0)
  }

  /// When the shim last served bytes from that frame of the window, in ns of CLOCK_MONOTONIC; 0: never. A hint, as the
  /// other side writes it.
  package func lastUse(ofFrame frame: Int) -> UInt64 { fsmvp_load_relaxed(self.frame(frame)) }

  /// The highest generation of a use of a frame so far. Uses of frames go on above it (`&+`: a broken shim may have
  /// written any number).
  package var windowGeneration: UInt32 { header.load32(HeaderField.windowGeneration) }

  func histogram(op: UInt32, segment: fsmvp_segment) -> SharedBytes {
    let segments = FSMVP_SEGMENT_COUNT.rawValue
    return row(
      FSMVP_SECTION_HISTOGRAMS, Int(op * segments + segment.rawValue), of: FSMVP_OP_COUNT.rawValue * segments,
      stride: MemoryLayout<fsmvp_histogram>.size)
  }

  func record(op: UInt32, segment: fsmvp_segment, from start: UInt64, to end: UInt64) {
    // Both clocks are the same; an end before the start is a lie of the other side, and no time at all.
    guard start != 0, end >= start else { return }
    fsmvp_histogram_add(
      histogram(op: op, segment: segment).base.assumingMemoryBound(to: fsmvp_histogram.self), end - start)
  }
}
