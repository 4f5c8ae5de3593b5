import CLinux
import CWire
import Core
import Glibc
import Testing

@testable import Wire

@Suite struct RegionTests {
  private func refusal(
    seals: Int32 = TestRegion.shrinkAndGrow, size: Int? = nil,
    edit: (UnsafeMutablePointer<fsmvp_header>) -> Void = { _ in }
  ) throws -> RegionError? {
    let (descriptor, base, size) = try TestRegion.make(seals: seals, size: size, edit: edit)
    defer { munmap(base, max(size, 4096)) }
    do {
      _ = try Region(descriptor: descriptor.number)
      return nil
    } catch { return error }
  }

  @Test("a region that could shrink or grow under us is refused")
  func seals() throws {
    #expect(try refusal() == nil)
    #expect(try refusal(seals: 0) == .notSealed)
    #expect(try refusal(seals: 2) == .notSealed)
    #expect(try refusal(seals: 4) == .notSealed)
  }

  @Test("a descriptor that is no memory file is refused")
  func otherDescriptors() throws {
    #expect(throws: RegionError.notSealed) { _ = try Region(descriptor: -1) }
    let bell = OwnedDescriptor(clinux_eventfd())
    #expect(throws: RegionError.notSealed) { _ = try Region(descriptor: bell.number) }
  }

  @Test("a region shorter than its header, or than its header says, is refused")
  func short() throws {
    #expect(try refusal(size: 0) == .notOurs)
    #expect(try refusal(size: 4095) == .notOurs)
    #expect(try refusal(size: 8192) == .badSections)
    #expect(try refusal { $0.pointee.region_size += 4096 } == .badSections)
  }

  @Test("wrong magic, another ABI and another header size are refused by name")
  func identity() throws {
    #expect(try refusal { $0.pointee.magic ^= 1 } == .notOurs)
    #expect(try refusal { $0.pointee.abi += 1 } == .otherABI)
    #expect(try refusal { $0.pointee.header_size = 8192 } == .otherABI)
  }

  @Test(
    "a section out of bounds, misplaced or of another shape is refused",
    arguments: 0..<Int(FSMVP_SECTION_COUNT.rawValue))
  func sections(index: Int) throws {
    func edited(_ edit: (inout fsmvp_section) -> Void) throws -> RegionError? {
      try refusal { header in
        let sections = (UnsafeMutableRawPointer(header) + 224).assumingMemoryBound(to: fsmvp_section.self)
        edit(&sections[index])
      }
    }
    #expect(try edited { $0.offset = 0 } == .badSections)
    #expect(try edited { $0.offset += 1 } == .badSections)
    #expect(try edited { $0.offset = .max - 4095 } == .badSections)
    #expect(try edited { $0.offset = fsmvp_region_format(nil) } == .badSections)
    #expect(try edited { $0.count += 1 } == .badSections)
    #expect(try edited { $0.count = 0 } == .badSections)
    #expect(try edited { $0.stride /= 2 } == .badSections)
  }

  @Test("what the other side only adds is no reason to refuse; what it needs and this version lacks is one")
  func features() throws {
    func error(
      more: Int = 0, _ edit: (UnsafeMutablePointer<fsmvp_header>) -> Void
    ) throws -> RegionError? {
      let size = Int(fsmvp_region_format(nil)) + more
      let (descriptor, base, length) = try TestRegion.make(size: size) {
        $0.pointee.region_size = UInt64(size)
        edit($0)
      }
      defer { munmap(base, length) }
      do throws(RegionError) {
        _ = try Region(descriptor: descriptor.number)
        return nil
      } catch {
        return error
      }
    }
    #expect(try error { $0.pointee.features = 1 << 40 } == nil)
    // A section that is not known here.
    #expect(
      try error(more: 65_536) { header in
        header.pointee.features = 1 << 40
        withUnsafeMutableBytes(of: &header.pointee.sections) {
          $0.storeBytes(of: fsmvp_region_format(nil), toByteOffset: 11 * 16, as: UInt64.self)
        }
      } == nil)
    #expect(try error { $0.pointee.needs = 1 << 40 } == .otherFeatures)
    #expect(fsmvp_feature_missing(0b1100, 0b1010) == 3 && fsmvp_feature_missing(0b1000, 0b1010) == 0)
  }

  @Test("a directory changed after the check moves nothing")
  func directoryIsReadOnce() throws {
    let test = try TestRegion()
    let ring = test.ring()
    test.submitGetattr(0, node: 77)
    let sections = (test.base + 224).assumingMemoryBound(to: fsmvp_section.self)
    let kept = Array(UnsafeBufferPointer(start: sections, count: 8))
    for index in 0..<8 { sections[index].offset = .max }
    #expect(taken(ring).map(\.node) == [77])
    for index in 0..<8 { sections[index] = kept[index] }
  }

  @Test("high-water marks past the tables are cut to them")
  func highWater() throws {
    let test = try TestRegion()
    fsmvp_store_release32(&test.header.pointee.slots_high, .max)
    fsmvp_store_release32(&test.header.pointee.handles_high, .max)
    #expect(test.region.slotsHigh == 4096)
    #expect(test.region.handlesHigh == 65536)
    #expect(taken(test.ring()).isEmpty)
    HandleRows(region: test.region).forEachReleased { _ in Issue.record("nothing was released") }
    fsmvp_store_release32(&test.header.pointee.slots_high, 0)
    #expect(test.region.slotsHigh == 128)
  }

  @Test("figures go to their places, and counters come from theirs")
  func figures() throws {
    let test = try TestRegion()
    test.region.setStatistics(bytes: 8193, files: 3)
    #expect(test.header.pointee.statfs_blocks == 3)
    #expect(test.header.pointee.statfs_files == 3)
    test.region.setStatistics(bytes: .max, files: -1)
    #expect(test.header.pointee.statfs_blocks == 1 << 51)
    #expect(test.header.pointee.statfs_files == 0)
    test.region.setConnection(83)
    #expect(test.header.pointee.connection == 83)
    test.region.setControl(pid: getpid())
    #expect(test.header.pointee.control == fsmvp_process_id(getpid()))
    test.header.pointee.count_leased = 1
    test.header.pointee.bytes_leased = 7
    #expect(test.region.counters.leased == 1)
    #expect(test.region.counters.bytesLeased == 7)
  }

  @Test("percentiles are right within a quarter, and rows that counted nothing are left out")
  func histograms() throws {
    let test = try TestRegion()
    for time in 1...1000 as ClosedRange<UInt64> {
      test.region.record(op: FSMVP_OP_READ.rawValue, segment: FSMVP_SEGMENT_PICKUP, from: 1, to: 1 + time * 1000)
    }
    let all = test.region.histograms()
    #expect(all.count == 1)
    let row = try #require(all["read"]?["pickup"])
    #expect(row.count == 1000)
    #expect(row.max == 1_000_000)
    #expect(row.p50 >= 500_000 && row.p50 <= 625_000)
    #expect(row.p99 >= 990_000 && row.p99 <= 1_000_000)
    // An end before the start, which only a liar writes, counts nothing.
    test.region.record(op: FSMVP_OP_READ.rawValue, segment: FSMVP_SEGMENT_PICKUP, from: 10, to: 9)
    #expect(test.region.histograms()["read"]?["pickup"]?.count == 1000)
  }

  @Test("counters that overflow in the region stop nothing")
  func hostileHistogram() throws {
    let test = try TestRegion()
    let row = test.region.histogram(op: FSMVP_OP_OPEN.rawValue, segment: FSMVP_SEGMENT_TOTAL)
    row.store(HistogramField.count, .max)
    for bucket in 0..<Int(FSMVP_BUCKETS) { row.store(HistogramField.buckets + bucket * 8, .max) }
    #expect(test.region.histograms()["open"]?["total"] != nil)
  }
}
