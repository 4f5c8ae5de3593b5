import CWire

/// Bytes on the link that are no frames; the link is at its end then.
package enum FrameError: Error, Equatable, Sendable, CustomStringConvertible {
  case badLength(UInt32)
  case badType(UInt32)
  case badBody(UInt32)

  package var description: String {
    switch self {
    case .badLength(let length): "a frame of \(length) bytes"
    case .badType(let type): "a frame of unknown type \(type)"
    case .badBody(let type): "a frame of type \(type) with a body too short"
    }
  }
}

/// The frames that the shim sends on the link.
package enum ShimFrame: Equatable, Sendable {
  /// The order of that number is carried out.
  case acknowledged(UInt64)
  /// Level as the shim numbers them (0 error, 1 warning, 2 notice, 3 debug), and text.
  case log(level: UInt32, text: String)
}

/// The orders of the control plane; each is acknowledged by number.
package enum Order: Equatable, Sendable {
  /// One to `nodesMax` nodes.
  case invalidateAttributes(nodes: [UInt64])
  /// All names are asked for again; a kernel that cannot is found in `Region.lacksEpochs` afterwards.
  case invalidateNames
  case invalidatePages(node: UInt64)
  case revoked(lease: UInt64)

  package func frame(number: UInt64) -> [UInt8] {
    switch self {
    case .invalidateAttributes(let nodes):
      // Little endian, as the region: the contract is for such machines alone.
      nodes.withUnsafeBytes { frameBytes(FSMVP_FRAME_INVALIDATE_NODES, number, $0) }
    case .invalidateNames: frameBytes(FSMVP_FRAME_INVALIDATE_NAMES, number, [])
    case .invalidatePages(let node):
      frameBytes(
        FSMVP_FRAME_INVALIDATE, number, littleEndian(node) + littleEndian(0 as Int64) + littleEndian(0 as Int64))
    case .revoked(let lease): frameBytes(FSMVP_FRAME_REVOKED, number, littleEndian(lease))
    }
  }

  /// Nodes that one frame has room for.
  package static let nodesMax = (Int(FSMVP_FRAME_MAX) - MemoryLayout<fsmvp_frame>.size) / 8

  /// The shim ends; nothing is acknowledged.
  package static func quitFrame() -> [UInt8] { frameBytes(FSMVP_FRAME_QUIT, 0, []) }
  /// The shim finishes what its workers hold and ends; its end is the acknowledgement.
  package static func drainFrame() -> [UInt8] { frameBytes(FSMVP_FRAME_DRAIN, 0, []) }
  package static func logLevelFrame(_ level: UInt32) -> [UInt8] {
    frameBytes(FSMVP_FRAME_LOG_LEVEL, 0, littleEndian(level))
  }
}

private func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

private func frameBytes(_ type: fsmvp_frame_type, _ number: UInt64, _ body: some Collection<UInt8>) -> [UInt8] {
  littleEndian(UInt32(16 + body.count)) + littleEndian(type.rawValue) + littleEndian(number) + body
}

/// Takes the link's bytes apart, in whatever portions they come. It is a value in `ShimLink`, which owns it; it reads
/// no socket itself.
package struct FrameReader {
  private var buffer: [UInt8] = []
  /// The offset at which the next frame begins; the bytes before it are dropped when the next ones come.
  private var start = 0

  package init() {}

  package mutating func append(_ bytes: UnsafeRawBufferPointer) {
    buffer.removeFirst(start)
    start = 0
    buffer.append(contentsOf: bytes)
  }

  /// The next whole frame, nil where more bytes are needed.
  package mutating func next() throws(FrameError) -> ShimFrame? {
    guard buffer.count - start >= 16 else { return nil }
    let length = UInt32(word(0, bytes: 4))
    guard length >= 16, length <= FSMVP_FRAME_MAX else { throw .badLength(length) }
    let type = UInt32(word(4, bytes: 4))
    let number = word(8, bytes: 8)
    guard buffer.count - start >= Int(length) else { return nil }
    defer { start += Int(length) }
    switch fsmvp_frame_type(rawValue: type) {
    case FSMVP_FRAME_ACK:
      return .acknowledged(number)
    case FSMVP_FRAME_LOG:
      guard length >= 20 else { throw .badBody(type) }
      let text = buffer[(start + 20)..<(start + Int(length))]
      return .log(level: UInt32(word(16, bytes: 4)), text: String(decoding: text, as: UTF8.self))
    default:
      throw .badType(type)
    }
  }

  private func word(_ offset: Int, bytes: Int) -> UInt64 {
    (0..<bytes).reduce(0) { $0 | UInt64(buffer[start + offset + $1]) << UInt64($1 * 8) }
  }
}
