import Core
import Testing

struct PercentEncodingTests {
  @Test(
    "what is decoded is bytes, or nothing behind a percent sign without two hex digits",
    arguments: [
      ("a%2Fb%c3%A4", "a/bä"), ("a+b", "a+b"), ("", ""), ("%", nil), ("%2", nil), ("%2x", nil), ("%é0", nil),
    ] as [(String, String?)])
  func decode(text: String, decoded: String?) {
    #expect(PercentEncoding.decode(text[...].utf8) == decoded.map { Array($0.utf8) })
  }

  @Test("a plus sign is a blank in a form alone, and encoding comes back as it went")
  func forms() {
    #expect(PercentEncoding.decode("a+b%2B"[...].utf8, isForm: true) == Array("a b+".utf8))
    let text = "/ & # % + ü\u{7f}\0~-._"
    #expect(PercentEncoding.decode(PercentEncoding.encode(text)[...].utf8) == Array(text.utf8))
  }
}
