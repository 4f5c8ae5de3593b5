import Core
import Testing
import Volume

@Test(
  "a directory may hold what the kernel lets through, and nothing else",
  arguments: [
    ("video.mp4", true), ("...", true), (".hidden", true), ("a b\n", true), ("Ünïcödé", true),
    (String(repeating: "x", count: 255), true),
    ("", false), (".", false), ("..", false), ("a/b", false), ("a\0b", false),
    (String(repeating: "x", count: 256), false),
    // 128 characters, 256 bytes.
    (String(repeating: "é", count: 128), false),
  ])
func fileNameValidity(name: String, isValid: Bool) {
  #expect(FileName(name).isValid == isValid)
}

@Test("names are the same if their bytes are, whatever Unicode thinks of them")
func fileNamesCompareByBytes() {
  let composed = "\u{e9}"
  let decomposed = "e\u{301}"
  #expect(composed == decomposed)
  #expect(FileName(composed) != FileName(decomposed))
  #expect(Set([FileName(composed), FileName(decomposed), FileName(composed)]).count == 2)
  #expect(FileName([0xff, 0xfe]) != FileName([0xff, 0xfd]), "bytes that are no UTF-8 are names too")
}

@Test("a handle says its row and its generation")
func handleDescription() {
  #expect(HandleID(7 | 3 << 32).description == "7.3")
  #expect(HandleID(0xffff_ffff | 0xffff_ffff << 32).description == "4294967295.4294967295")
}
