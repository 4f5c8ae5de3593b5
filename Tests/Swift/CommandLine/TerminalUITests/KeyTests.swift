import Testing

@testable import TerminalUI

@Suite("Keys of a terminal")
struct KeyTests {
  private static let cases: [(String, [Key])] = [
    ("a", [.text("a")]), ("abc", [.text("abc")]), ("ü日\u{1F600}", [.text("ü日\u{1F600}")]), ("\r", [.enter]),
    ("\n", [.enter]),
    ("\u{1b}[A", [.up]), ("\u{1b}OB", [.down]), ("\u{1b}[C\u{1b}[D", [.right, .left]),
    ("\u{1b}[5~\u{1b}[6~", [.pageUp, .pageDown]),
    ("\u{1b}[H\u{1b}[1~\u{1b}[7~", [.home, .home, .home]), ("\u{1b}OF\u{1b}[4~\u{1b}[8~", [.end, .end, .end]),
    ("\u{1b}[3~", [.delete]),
    // With a modifier: the key itself.
    ("\u{1b}[1;5A", [.up]), ("\u{1b}[5;2~", [.pageUp]), ("\u{7f}\u{8}", [.backspace, .backspace]), ("\t", [.tab]),
    ("\u{3}\u{15}\u{1a}", [.control("c"), .control("u"), .control("z")]),
    ("a\u{1b}[Bb\r", [.text("a"), .down, .text("b"), .enter]),
    // An unknown sequence gives no key, and takes no other along.
    ("\u{1b}[99~a", [.text("a")]), ("\u{1b}[<0;1;1Ma", [.enter, .text("a")]), ("\u{1b}xa", [.text("a")]),
    ("\0a\u{1d}", [.text("a")]),
    ("\u{1b}[200~a\rb\u{1b}[A\u{1b}[201~c", [.paste("a\rb\u{1b}[A"), .text("c")]),
  ]

  @Test("bytes mean keys, in whatever pieces they come", arguments: cases)
  func keys(bytes: String, keys: [Key]) {
    var whole = KeyDecoder()
    #expect(whole.decode(bytes.utf8) == keys)
    #expect(!whole.isUndecided)
    var piecewise = KeyDecoder()
    // Text comes in as many pieces as it is sent in.
    let joined = bytes.utf8.flatMap { piecewise.decode([$0]) }.reduce(into: [Key]()) { keys, key in
      if case .text(let more) = key, case .text(let text)? = keys.last {
        keys[keys.count - 1] = .text(text + more)
      } else {
        keys.append(key)
      }
    }
    #expect(joined == keys)
  }

  @Test("an escape that nothing follows is the key; what never ends is forgotten")
  func escape() {
    var decoder = KeyDecoder()
    #expect(decoder.decode([0x1b]) == [])
    #expect(decoder.isUndecided)
    #expect(decoder.flush() == [.escape])
    #expect(!decoder.isUndecided)
    #expect(decoder.decode("\u{1b}[1".utf8) == [])
    #expect(decoder.flush() == [])
    #expect(decoder.decode("a".utf8) == [.text("a")])
    #expect(decoder.decode("\u{1b}\u{1b}".utf8) == [.escape])
    #expect(decoder.flush() == [.escape])
    #expect(decoder.decode(("\u{1b}[" + String(repeating: "1;", count: 100)).utf8).filter { $0 == .up } == [])
    _ = decoder.flush()
    #expect(decoder.decode("\u{1b}[A".utf8) == [.up])
  }

  @Test("bytes that are no text are skipped, what follows is not")
  func garbage() {
    for bytes in [[0xff], [0xc3, 0x28], [0xe2, 0x82], [0x80], [0xf8, 0x88], [0xc0, 0xaf]] as [[UInt8]] {
      var decoder = KeyDecoder()
      let keys = decoder.decode(bytes + Array("x\r".utf8))
      #expect(keys.last == .enter)
      guard case .text(let text)? = keys.dropLast().last else { Issue.record("\(bytes): \(keys)"); continue }
      #expect(text.hasSuffix("x"))
      #expect(!text.unicodeScalars.contains("\u{fffd}"))
    }
  }

  @Test("a paste of megabytes is cut, and ends where it ends")
  func longPaste() {
    var decoder = KeyDecoder()
    let keys = decoder.decode(
      Array("\u{1b}[200~".utf8) + Array(repeating: UInt8(ascii: "y"), count: 200_000) + Array("\u{1b}[201~z".utf8))
    guard case .paste(let text)? = keys.first else { return #expect(Bool(false), "\(keys.count)") }
    #expect(text.count <= 64 << 10)
    #expect(text.allSatisfy { $0 == "y" })
    #expect(keys.dropFirst() == [.text("z")])
  }

  @Test("a field takes text and gives it back, and is never longer than its limit")
  func field() {
    var field = LineField(limit: 12)
    #expect(field.take(.text("ab")) == true)
    #expect(field.take(.paste(" c\nd")) == true)
    #expect(field.text == "ab c d")
    #expect(field.take(.text("0123456789")) == false)
    #expect(field.take(.control("w")) == true)
    #expect(field.text == "ab c ")
    #expect(field.take(.text("e\u{301}")) == true)
    #expect(field.take(.backspace) == true)
    #expect(field.text == "ab c ")
    #expect(field.take(.left) == false)
    #expect(field.take(.control("u")) == true)
    #expect(field.take(.backspace) == false)
    #expect(field.text == "")
  }
}
