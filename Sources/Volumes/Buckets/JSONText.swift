/// JSON as it is written: a tree of values whose keys keep their order. It is a plain value. Listings have hundreds of
/// thousands of items, for which an encoder takes ten times as long.
indirect enum JSONText: Sendable {
  case text(String)
  case number(Int64)
  case flag(Bool)
  case none
  case link(BucketLink)
  case list([JSONText])
  case object([(String, JSONText)])

  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    write(to: &bytes)
    return bytes
  }

  func write(to bytes: inout [UInt8]) {
    switch self {
    case .text(let text): Self.write(text, to: &bytes)
    case .number(let number): bytes += String(number).utf8
    case .flag(let flag): bytes += (flag ? "true" : "false").utf8
    case .none: bytes += "null".utf8
    case .link(let link): bytes += "{\"codec\":\(link.codec.rawValue),\"hash\":\"\(link.hash)\"}".utf8
    case .list(let values):
      bytes.append(0x5b)
      for (index, value) in values.enumerated() {
        if index > 0 { bytes.append(0x2c) }
        value.write(to: &bytes)
      }
      bytes.append(0x5d)
    case .object(let members):
      bytes.append(0x7b)
      for (index, member) in members.enumerated() {
        if index > 0 { bytes.append(0x2c) }
        Self.write(member.0, to: &bytes)
        bytes.append(0x3a)
        member.1.write(to: &bytes)
      }
      bytes.append(0x7d)
    }
  }

  private static let digits = Array("0123456789abcdef".utf8)

  private static func write(_ text: String, to bytes: inout [UInt8]) {
    bytes.append(0x22)
    for byte in text.utf8 {
      switch byte {
      case 0x22, 0x5c: bytes += [0x5c, byte]
      case 0x0a: bytes += [0x5c, 0x6e]
      case 0..<0x20, 0x7f: bytes += "\\u00".utf8 + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      default: bytes.append(byte)
      }
    }
    bytes.append(0x22)
  }
}
