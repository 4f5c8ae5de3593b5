import CWire

/// Memory that another process writes too. A field is read once, by an atomic load, and what was read is what is
/// checked and used: the compiler may not read it again, and the other side cannot change it in between. Offsets are
/// those of `fsmvp_wire.h` (`Layout.swift`). It is a pointer into the mapping that `Region` owns.
struct SharedBytes {
  let base: UnsafeMutableRawPointer

  func word(_ offset: Int) -> UnsafeMutablePointer<UInt64> { (base + offset).assumingMemoryBound(to: UInt64.self) }
  func half(_ offset: Int) -> UnsafeMutablePointer<UInt32> { (base + offset).assumingMemoryBound(to: UInt32.self) }

  func load(_ offset: Int) -> UInt64 { fsmvp_load_relaxed(word(offset)) }
  func load32(_ offset: Int) -> UInt32 { fsmvp_load_relaxed32(half(offset)) }
  func store(_ offset: Int, _ value: UInt64) { fsmvp_store_relaxed(word(offset), value) }
  func store32(_ offset: Int, _ value: UInt32) { fsmvp_store_relaxed32(half(offset), value) }

  func copyIn(_ offset: Int, _ bytes: some Collection<UInt8>) {
    UnsafeMutableRawBufferPointer(start: base + offset, count: bytes.count).copyBytes(from: bytes)
  }

  func copyOut(_ offset: Int, count: Int) -> [UInt8] {
    Array(UnsafeRawBufferPointer(start: base + offset, count: count))
  }
}
