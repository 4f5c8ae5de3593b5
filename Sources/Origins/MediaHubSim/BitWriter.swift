/// A NAL unit of H.264, bit by bit (ITU-T H.264, 7.2 and 9.1), with the emulation prevention of 7.4.1: no start code
/// ever appears inside. It is a value of one call of `VideoTrack`.
struct BitWriter {
  private(set) var bytes: [UInt8] = []
  private var current: UInt8 = 0
  private var filled = 0
  /// Zero bytes in a row at the end.
  private var zeros = 0

  /// The unit's first byte goes in as it is.
  init(nalHeader: UInt8, capacity: Int = 0) {
    bytes.reserveCapacity(capacity)
    bytes.append(nalHeader)
  }

  /// u(n): the lowest `count` bits of `value`, highest first.
  mutating func u(_ count: Int, _ value: UInt32) {
    for bit in stride(from: count - 1, through: 0, by: -1) {
      current = current << 1 | UInt8(value >> UInt32(bit) & 1)
      filled += 1
      if filled == 8 { flush() }
    }
  }

  /// ue(v): Exp-Golomb.
  mutating func ue(_ value: UInt32) {
    let coded = value + 1
    let length = 32 - coded.leadingZeroBitCount
    u(length - 1, 0)
    u(length, coded)
  }

  /// se(v), for the one value needed.
  mutating func seZero() { ue(0) }

  /// Zero bits up to the next byte.
  mutating func align() { if filled > 0 { u(8 - filled, 0) } }

  /// Samples of a macroblock. They are never 0, so that they need no emulation prevention and a frame's size is the
  /// same for all of them.
  mutating func samples(_ value: UInt8, count: Int) {
    precondition(filled == 0 && value > 3)
    bytes.append(contentsOf: repeatElement(value, count: count))
    zeros = 0
  }

  /// rbsp_trailing_bits().
  mutating func finish() {
    u(1, 1)
    align()
  }

  private mutating func flush() {
    if zeros >= 2, current <= 3 {
      bytes.append(3)
      zeros = 0
    }
    bytes.append(current)
    zeros = current == 0 ? zeros + 1 : 0
    (current, filled) = (0, 0)
  }
}
