import CShim
import CWire
import Dispatch
import Foundation
import Testing

/// A region of its own for a test, with the tables on it. C structures are reached by pointer, as the shim's threads
/// do.
final class Scratch: @unchecked Sendable {
  let region = UnsafeMutablePointer<region>.allocate(capacity: 1)
  let ring = UnsafeMutablePointer<ring>.allocate(capacity: 1)
  let handles = UnsafeMutablePointer<handles>.allocate(capacity: 1)
  let bell: Int32

  init() throws {
    var fd: Int32 = -1
    region.initialize(to: CShim.region())
    ring.initialize(to: CShim.ring())
    handles.initialize(to: CShim.handles())
    bell = bell_create()
    try #require(bell >= 0)
    try #require(region_create(region, &fd) == 0)
    close(fd)
    try #require(ring_open(ring, region, bell, bell) == 0)
    handles_open(handles, region, bell)
  }

  deinit {
    munmap(region.pointee.base, Int(region.pointee.size))
    free(ring.pointee.entries)
    close(bell)
    region.deallocate()
    ring.deallocate()
    handles.deallocate()
  }
}

/// A shim whose ring has room for `slots` reads, without a kernel. It is never taken down, because threads of it may
/// stay.
func stand(slots: UInt32) throws -> (Scratch, UnsafeMutablePointer<shim>) {
  let scratch = try Scratch()
  let stand = UnsafeMutablePointer<shim>.allocate(capacity: 1)
  stand.initialize(to: shim())
  stand.pointee.region = scratch.region.pointee
  stand.pointee.shim_bell = scratch.bell
  stand.pointee.control_bell = scratch.bell
  stand.pointee.canceller_bell = scratch.bell
  try #require(ring_open(&stand.pointee.ring, &stand.pointee.region, scratch.bell, scratch.bell) == 0)
  stand.pointee.ring.rows = FSMVP_SLOTS_RESERVED + slots
  handles_open(&stand.pointee.handles, &stand.pointee.region, scratch.bell)
  try #require(waiting_open(&stand.pointee.waiting, &stand.pointee.region) == 0)
  try #require(disk_open(&stand.pointee.disk) == 0)
  return (scratch, stand)
}

func inThreads(_ count: Int, _ body: @Sendable (Int) -> Void) {
  DispatchQueue.concurrentPerform(iterations: count, execute: body)
}

/// In threads of their own, where one waits for what another does.
func inOwnThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  let ended = DispatchSemaphore(value: 0)
  for number in 0..<count {
    Thread.detachNewThread {
      body(number)
      ended.signal()
    }
  }
  for _ in 0..<count { ended.wait() }
}

/// A number that threads share, by the contract's own verbs.
final class Shared: @unchecked Sendable {
  let words: UnsafeMutablePointer<UInt64>
  init(_ count: Int = 1) {
    words = .allocate(capacity: count)
    words.initialize(repeating: 0, count: count)
  }
  deinit { words.deallocate() }
  var value: UInt64 { fsmvp_load_acquire(words) }
  func add(_ number: UInt64) { fsmvp_add_release(words, number) }
}

let free32 = FSMVP_FREE.rawValue
let filling = FSMVP_FILLING.rawValue
let read32 = FSMVP_OP_READ.rawValue
let lookup32 = FSMVP_OP_LOOKUP.rawValue
