/// Percent-encoding of URLs: RFC 3986, section 2. These are pure functions.
package enum PercentEncoding {
  private static let digits = Array("0123456789ABCDEF")

  /// Every byte but the unreserved ones (letters, digits and `-._~`) as `%XX`: safe as a query value, a form value or a
  /// path segment.
  package static func encode(_ text: String) -> String {
    var out = ""
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        out.unicodeScalars.append(Unicode.Scalar(byte))
      default: append(byte, to: &out)
      }
    }
    return out
  }

  /// `a=b&c=d`, names and values encoded.
  package static func query(_ items: KeyValuePairs<String, String>) -> String {
    items.map { encode($0.key) + "=" + encode($0.value) }.joined(separator: "&")
  }

  /// Writes the characters that no URL may hold (blanks, `"<>^` and such, everything beyond ASCII) as `%XX`, the rest
  /// untouched: some servers do not encode their Location. Nil if there is a control character, which no URL has by
  /// mistake.
  package static func repair(_ url: String) -> String? {
    var out = ""
    for byte in url.utf8 {
      switch byte {
      case 0..<0x20, 0x7f: return nil
      case 0x20, 0x80..., UInt8(ascii: "\""), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\\"),
        UInt8(ascii: "^"),
        UInt8(ascii: "`"),
        UInt8(ascii: "{"), UInt8(ascii: "|"), UInt8(ascii: "}"):
        append(byte, to: &out)
      default: out.unicodeScalars.append(Unicode.Scalar(byte))
      }
    }
    return out
  }

  /// The bytes of an encoded text; nil if a percent sign is not followed by two hex digits.
  /// - Parameter isForm: a plus sign is a blank.
  package static func decode(_ text: Substring.UTF8View, isForm: Bool = false) -> [UInt8]? {
    var bytes: [UInt8] = []
    var rest = text[...]
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "%"):
        guard let high = rest.popFirst().flatMap(value), let low = rest.popFirst().flatMap(value) else { return nil }
        bytes.append(high << 4 | low)
      case UInt8(ascii: "+") where isForm: bytes.append(UInt8(ascii: " "))
      default: bytes.append(byte)
      }
    }
    return bytes
  }

  private static func value(_ digit: UInt8) -> UInt8? { Character(Unicode.Scalar(digit)).hexDigitValue.map(UInt8.init) }

  private static func append(_ byte: UInt8, to out: inout String) {
    out.append("%")
    out.append(digits[Int(byte >> 4)])
    out.append(digits[Int(byte & 15)])
  }
}
