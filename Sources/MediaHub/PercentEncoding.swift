/// RFC 3986, section 2.
enum PercentEncoding {
  private static let digits = Array("0123456789ABCDEF")

  /// Every byte but the unreserved ones (letters, digits and `-._~`) as `%XX`: safe as a query value, a form value or a path segment.
  static func encode(_ text: String) -> String {
    var out = ""
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
        out.unicodeScalars.append(Unicode.Scalar(byte))
      default: append(byte, to: &out)
      }
    }
    return out
  }

  /// `a=b&c=d`, names and values encoded.
  static func query(_ items: KeyValuePairs<String, String>) -> String {
    items.map { encode($0.key) + "=" + encode($0.value) }.joined(separator: "&")
  }

  /// What may not stand in a URL at all (blanks, `"<>^` and such, everything beyond ASCII) as `%XX`, the rest untouched: a Location whose
  /// author did not. Nil if there is a control character, which no URL has by mistake.
  static func repair(_ url: String) -> String? {
    var out = ""
    for byte in url.utf8 {
      switch byte {
      case 0..<0x20, 0x7f: return nil
      case 0x20, 0x80..., UInt8(ascii: "\""), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\\"), UInt8(ascii: "^"),
        UInt8(ascii: "`"),
        UInt8(ascii: "{"), UInt8(ascii: "|"), UInt8(ascii: "}"):
        append(byte, to: &out)
      default: out.unicodeScalars.append(Unicode.Scalar(byte))
      }
    }
    return out
  }

  private static func append(_ byte: UInt8, to out: inout String) {
    out.append("%")
    out.append(digits[Int(byte >> 4)])
    out.append(digits[Int(byte & 15)])
  }
}
