/// A key of a terminal's keyboard, or text that came from it.
package enum Key: Equatable, Sendable {
  case up, down, left, right, pageUp, pageDown, home, end
  case enter, escape, tab, backspace, delete
  /// Control and a letter, in lower case.
  case control(Character)
  /// Typed text.
  case text(String)
  /// Pasted text, in one piece: its line ends are no Enter.
  case paste(String)
}

/// Makes keys of the bytes a terminal sends, in whatever pieces they come. It is a value in `FullScreen`.
struct KeyDecoder {
  /// Begins with the byte of something unfinished.
  private var pending: [UInt8] = []
  private var pasted: [UInt8]?

  /// No escape sequence of a key is longer, and no paste is of use that is.
  private static let longestSequence = 32
  private static let longestPaste = 64 << 10
  private static let pasteEnd = Array("\u{1b}[201~".utf8)

  /// Whether the next byte decides what the last ones mean; where none comes for a moment, `flush`.
  var isUndecided: Bool { !pending.isEmpty }

  mutating func decode(_ bytes: some Sequence<UInt8>) -> [Key] {
    var keys: [Key] = []
    for byte in bytes { take(byte, &keys) }
    return keys
  }

  /// Nothing came for a moment: an escape was the key of that name, and of anything else unfinished the rest is not to
  /// be had.
  mutating func flush() -> [Key] {
    guard pasted == nil else { return [] }
    defer { pending = [] }
    return pending == [0x1b] ? [.escape] : []
  }

  private mutating func take(_ byte: UInt8, _ keys: inout [Key]) {
    if pasted != nil { return takePasted(byte, &keys) }
    if pending.first == 0x1b { return takeSequence(byte, &keys) }
    if !pending.isEmpty { return takeText(byte, &keys) }
    switch byte {
    case 0x1b: pending = [byte]
    case 0x0d, 0x0a: keys.append(.enter)
    case 0x09: keys.append(.tab)
    case 0x7f, 0x08: keys.append(.backspace)
    case 0: break
    case 1...26: keys.append(.control(Character(Unicode.Scalar(byte + 0x60))))
    case 0x1c..<0x20: break
    default: takeText(byte, &keys)
    }
  }

  // MARK: Text

  private mutating func takeText(_ byte: UInt8, _ keys: inout [Key]) {
    let isContinuation = byte & 0xc0 == 0x80
    if !pending.isEmpty, !isContinuation {
      // Cut short: what came is no text.
      pending = []
      return take(byte, &keys)
    }
    pending.append(byte)
    let length: Int =
      switch pending[0] {
      case 0..<0x80: 1
      case 0xc2..<0xe0: 2
      case 0xe0..<0xf0: 3
      case 0xf0..<0xf5: 4
      default: 0
      }
    guard length > 0 else { return pending = [] }
    guard pending.count == length else { return }
    defer { pending = [] }
    guard let text = String(validating: pending, as: UTF8.self) else { return }
    // Characters that arrive together form one key: a letter and its accents.
    if case .text(let before)? = keys.last {
      keys[keys.count - 1] = .text(before + text)
    } else {
      keys.append(.text(text))
    }
  }

  // MARK: Escape sequences

  private mutating func takeSequence(_ byte: UInt8, _ keys: inout [Key]) {
    if pending.count == 1 {
      switch byte {
      case UInt8(ascii: "["), UInt8(ascii: "O"): pending.append(byte)
      case 0x1b: keys.append(.escape)
      // With the key Alt: means nothing here.
      default: pending = []
      }
      return
    }
    pending.append(byte)
    guard (0x40..<0x7f).contains(byte) else {
      if pending.count > Self.longestSequence || !(0x20..<0x40).contains(byte) { pending = [] }
      return
    }
    let parameters = String(decoding: pending[2..<(pending.count - 1)], as: UTF8.self)
    pending = []
    if byte == UInt8(ascii: "~"), parameters == "200" {
      pasted = []
      return
    }
    if let key = Self.key(final: byte, parameters: parameters) { keys.append(key) }
  }

  /// Escape sequences of xterm, the Linux console and all that imitate them; modifiers (";5") are ignored.
  private static func key(final: UInt8, parameters: String) -> Key? {
    switch final {
    case UInt8(ascii: "A"): .up
    case UInt8(ascii: "B"): .down
    case UInt8(ascii: "C"): .right
    case UInt8(ascii: "D"): .left
    case UInt8(ascii: "H"): .home
    case UInt8(ascii: "F"): .end
    case UInt8(ascii: "M"): .enter
    case UInt8(ascii: "~"):
      switch parameters.prefix(while: { $0 != ";" }) {
      case "1", "7": .home
      case "3": .delete
      case "4", "8": .end
      case "5": .pageUp
      case "6": .pageDown
      default: nil
      }
    default: nil
    }
  }

  // MARK: Pastes

  private mutating func takePasted(_ byte: UInt8, _ keys: inout [Key]) {
    guard var bytes = pasted else { return }
    pasted = nil
    bytes.append(byte)
    if bytes.suffix(Self.pasteEnd.count) == Self.pasteEnd[...] {
      keys.append(
        .paste(String(decoding: bytes.dropLast(Self.pasteEnd.count).prefix(Self.longestPaste), as: UTF8.self)))
      return
    }
    // Beyond what is of use only its end is waited for.
    if bytes.count > Self.longestPaste + 64 { bytes.remove(at: Self.longestPaste) }
    pasted = bytes
  }
}
