import CShim
import CWire
import Foundation
import Testing

@Suite struct DiskTests {
  /// So many threads hang in reads of that lease.
  private func hang(_ stand: UnsafeMutablePointer<shim>, _ count: Int, lease: UInt64) {
    withUnsafeMutableBytes(of: &stand.pointee.disk.busy) { bytes in
      for number in 0..<count {
        bytes.storeBytes(of: lease, toByteOffset: number * MemoryLayout<disk_place>.stride, as: UInt64.self)
      }
    }
    withUnsafeMutableBytes(of: &stand.pointee.disk.there) { bytes in for number in 0..<count { bytes[number] = 1 } }
    stand.pointee.disk.threads = UInt32(count)
  }

  private func local(_ stand: UnsafeMutablePointer<shim>) -> row {
    var row = row()
    #expect(ring_claim(&stand.pointee.ring, SLOT_LOCAL, &row))
    #expect(ring_step(&stand.pointee.ring, row, filling, FSMVP_LOCAL.rawValue))
    return row
  }

  /// It waited for as long as the file before it hung.
  @Test("a read that found no thread gets one later, behind reads of a file that hangs")
  func aThreadForAJobBehindOthers() throws {
    let (scratch, stand) = try stand(slots: 8)
    var root = open("/", O_RDONLY | O_DIRECTORY)
    #expect(leases_open(&stand.pointee.leases, &stand.pointee.region, &root, 1) == 0)
    let hung = fsmvp_pack(7, 2)
    hang(stand, Int(SHIM_DISK_PER_LEASE), lease: hung)
    // The machine has no task to give.
    stand.pointee.disk.start_at = .max
    let (first, second) = (local(stand), local(stand))
    disk_hand(stand, first, OpaquePointer(bitPattern: 1), hung, 4096)
    disk_hand(stand, second, OpaquePointer(bitPattern: 2), fsmvp_pack(8, 2), 4096)
    disk_tend(stand)
    #expect(stand.pointee.disk.threads == SHIM_DISK_PER_LEASE)
    stand.pointee.disk.start_at = 0
    disk_tend(stand)
    let word = stand.pointee.region.words + Int(second.index)
    let end = Date(timeIntervalSinceNow: 60)
    func queued() -> UInt32 {
      pthread_mutex_lock(&stand.pointee.disk.lock)
      defer { pthread_mutex_unlock(&stand.pointee.disk.lock) }
      return stand.pointee.disk.queued
    }
    while queued() > 1, Date() < end { usleep(1000) }
    // The thread has it and does not begin: a takeover has not ended yet, and a death before its end says nothing
    // against the read.
    #expect(fsmvp_low(fsmvp_load_acquire(word)) == FSMVP_LOCAL.rawValue)
    #expect(stand.pointee.region.slots[Int(second.index)].replays == 0)
    gate_open()
    // Its lease has ended, so the thread gives it to control.
    while fsmvp_low(fsmvp_load_acquire(word)) != FSMVP_SUBMITTED.rawValue, Date() < end { usleep(1000) }
    #expect(fsmvp_low(fsmvp_load_acquire(word)) == FSMVP_SUBMITTED.rawValue)
    #expect(stand.pointee.region.slots[Int(second.index)].replays == 0)
    #expect(fsmvp_low(fsmvp_load_acquire(stand.pointee.region.words + Int(first.index))) == FSMVP_LOCAL.rawValue)
    // The thread stays, and with it all that it may look at.
    _ = Unmanaged.passRetained(scratch)
  }
}
