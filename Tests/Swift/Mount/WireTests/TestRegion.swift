import CLinux
import CWire
import Core
import Glibc
import Testing

@testable import Wire

/// A region made here, with both sides' views: `region` is the control plane's, the pointers are for a shim's (or a
/// fake shim's) writes.
// SAFETY: shared words are accessed by the barrier verbs; the rest belongs to the side that the state words name.
final class TestRegion: @unchecked Sendable {
  static let shrinkAndGrow: Int32 = 6

  let descriptor: OwnedDescriptor
  let base: UnsafeMutableRawPointer
  let header: UnsafeMutablePointer<fsmvp_header>
  let size: Int
  let region: Region
  let shimBell = Doorbell(OwnedDescriptor(clinux_eventfd()))
  let controlBell = Doorbell(OwnedDescriptor(clinux_eventfd()))

  init() throws {
    (descriptor, base, size) = try Self.make()
    header = base.assumingMemoryBound(to: fsmvp_header.self)
    region = try Region(descriptor: descriptor.number)
  }

  deinit { munmap(base, size) }

  /// A formatted memory file, mapped; `edit` makes it wrong before it is sealed.
  static func make(
    seals: Int32 = shrinkAndGrow, size wanted: Int? = nil, edit: (UnsafeMutablePointer<fsmvp_header>) -> Void = { _ in }
  ) throws -> (OwnedDescriptor, UnsafeMutableRawPointer, Int) {
    let size = wanted ?? Int(fsmvp_region_format(nil))
    let descriptor = OwnedDescriptor(clinux_memfd("test-region", Int64(size)))
    let base = try #require(mmap(nil, max(size, 4096), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor.number, 0))
    if size >= 4096 {
      let header = base.assumingMemoryBound(to: fsmvp_header.self)
      _ = fsmvp_region_format(header)
      edit(header)
    }
    if seals != 0 { #expect(clinux_add_seals(descriptor.number, seals) == 0) }
    return (descriptor, base, size)
  }

  private func section(_ id: fsmvp_section_id) -> UnsafeMutableRawPointer {
    let sections = (base + 224).assumingMemoryBound(to: fsmvp_section.self)
    return base + Int(sections[Int(id.rawValue)].offset)
  }

  var words: UnsafeMutablePointer<UInt64> { section(FSMVP_SECTION_WORDS).assumingMemoryBound(to: UInt64.self) }
  var slots: UnsafeMutablePointer<fsmvp_slot> { section(FSMVP_SECTION_SLOTS).assumingMemoryBound(to: fsmvp_slot.self) }
  var handles: UnsafeMutablePointer<fsmvp_handle> {
    section(FSMVP_SECTION_HANDLES).assumingMemoryBound(to: fsmvp_handle.self)
  }
  var leases: UnsafeMutablePointer<fsmvp_lease> {
    section(FSMVP_SECTION_LEASES).assumingMemoryBound(to: fsmvp_lease.self)
  }
  var maps: UnsafeMutablePointer<UInt64> { section(FSMVP_SECTION_MAPS).assumingMemoryBound(to: UInt64.self) }
  var frames: UnsafeMutablePointer<UInt64> { section(FSMVP_SECTION_FRAMES).assumingMemoryBound(to: UInt64.self) }
  func payload(_ index: Int) -> UnsafeMutablePointer<UInt8> {
    (section(FSMVP_SECTION_PAYLOAD) + index * 4096).assumingMemoryBound(to: UInt8.self)
  }
  func listing(_ index: Int) -> UnsafeMutablePointer<UInt8> {
    (section(FSMVP_SECTION_LISTINGS) + index * 32_768).assumingMemoryBound(to: UInt8.self)
  }

  func ring() -> SlotRing { SlotRing(region: region, shimBell: shimBell) }
  func state(_ index: Int) -> fsmvp_slot_state {
    fsmvp_slot_state(rawValue: fsmvp_low(fsmvp_load_acquire(words + index)))
  }
  func generation(_ index: Int) -> UInt32 { fsmvp_generation(fsmvp_load_acquire(words + index)) }

  /// Plays the shim: a step of a slot in its present generation.
  @discardableResult
  func step(_ index: Int, _ from: fsmvp_slot_state, _ to: fsmvp_slot_state) -> Bool {
    fsmvp_slot_step(words + index, FSMVP_SIDE_SHIM, generation(index), from.rawValue, to.rawValue)
  }

  /// Plays the shim: fills a free slot and submits it.
  func submit(_ index: Int, _ fill: (inout fsmvp_slot) -> Void) {
    #expect(step(index, FSMVP_FREE, FSMVP_FILLING))
    slots[index] = fsmvp_slot()
    fill(&slots[index])
    fsmvp_max_release32(&header.pointee.slots_high, UInt32(index + 1))
    step(index, FSMVP_FILLING, FSMVP_LOCAL)
    step(index, FSMVP_LOCAL, FSMVP_SUBMITTED)
  }

  func submitGetattr(_ index: Int, node: UInt64 = 1) {
    submit(index) {
      $0.op = FSMVP_OP_GETATTR.rawValue
      $0.node = node
    }
  }

  func submitRead(_ index: Int, offset: UInt64, size: UInt64) {
    submit(index) {
      $0.op = FSMVP_OP_READ.rawValue
      $0.arg0 = offset
      $0.arg1 = size
    }
  }
}

/// The fields of a row that tests look at.
extension TableLease {
  var index: Int { row.index }
  var generation: UInt32 { row.generation }
  var firstWord: Int { row.words.lowerBound }
}

/// Everything a walk hands out now.
func taken(_ ring: SlotRing) -> [SlotRequest] {
  var requests: [SlotRequest] = []
  ring.walk { requests.append($0) }
  return requests
}

/// A thread of a test.
// SAFETY: started in init, joined once by its maker.
final class TestThread: @unchecked Sendable {
  private var thread = pthread_t()

  init(_ body: @escaping @Sendable () -> Void) {
    let context = Unmanaged.passRetained(Body(body)).toOpaque()
    pthread_create(
      &thread, nil,
      { @Sendable context in
        if let context { Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run() }
        return nil
      }, context)
  }

  func join() { pthread_join(thread, nil) }

  private final class Body {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
  }
}
