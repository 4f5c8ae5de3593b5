import Testing
import Volume

@testable import OpenFiles
@testable import Staging

@Test(
  "a service's name becomes one that a directory can hold",
  arguments: [
    ("holiday.mp4", "video/mp4", "holiday.mp4"),
    ("a/b/../c.mp4", "", "a_b_.._c.mp4"),
    ("/etc/passwd", "", "_etc_passwd"),
    ("new\nline\t\u{0}\u{7f}\u{85}.mov", "", "new_line____.mov"),
    ("line\r\n.mov", "", "line__.mov"),
    ("\u{2028}x\u{2029}", "", "_x_"),
    ("evil\u{202e}4pm.exe", "", "evil_4pm.exe"),
    (".hidden.mp4", "", ".hidden.mp4"),
    ("", "video/mp4", "video.mp4"),
    (".", "video/quicktime", "video.mov"),
    ("..", "video/quicktime, variant=(string)iso", "video.mov"),
    ("....", "video/webm; codecs=vp9", "video.webm"),
    ("  ", "text/html", "video"),
    ("Ünïcödé 日本 & # % + ?.mkv", "", "Ünïcödé 日本 & # % + ?.mkv"),
  ])
func safeNames(text: String, contentType: String, expected: String) {
  #expect(FileName.safe(text, contentType: contentType) == FileName(expected))
}

@Test(
  "a long name is cut to 255 bytes before its extension, never inside a character",
  arguments: [
    String(repeating: "x", count: 255) + ".mp4", String(repeating: "é", count: 200) + ".mp4",
    "a" + String(repeating: "é", count: 200) + ".mp4",
    String(repeating: "👩‍👩‍👧‍👦", count: 40) + ".mp4", "a" + String(repeating: "\u{301}", count: 400) + ".mp4",
  ])
func longNames(text: String) {
  let name = FileName.safe(text, contentType: "video/mp4")
  #expect(name.isValid)
  #expect(name.bytes.count > 180)
  #expect(name.description.utf8.elementsEqual(name.bytes), "whole characters only")
  #expect(name.description.hasSuffix(".mp4"))
  #expect(text.utf8.starts(with: name.bytes.dropLast(4)))
}

@Test("what looks like an extension and is longer than one is cut like the rest")
func longExtension() {
  let name = FileName.safe("a." + String(repeating: "x", count: 300), contentType: "")
  #expect(name.bytes.count == 255)
  #expect(FileName.safe("." + String(repeating: "x", count: 300), contentType: "").bytes.count == 255)
}

@Test(
  "a recipient goes to the service as meant",
  arguments: [
    ("  alice\n", "alice"), ("\r\nbob\r\n", "bob"), ("/ & # % +", "/ & # % +"), ("..", ".."), ("Zoë 日本", "Zoë 日本"),
    ("a  b", "a  b"),
    (String(repeating: "x", count: 255), String(repeating: "x", count: 255)),
  ])
func goodRecipients(text: String, expected: String) throws {
  #expect(try Wording.recipient(text).utf8.elementsEqual(expected.utf8))
}

@Test(
  "a recipient that cannot be meant is refused with a sentence",
  arguments: [
    ("", "empty"), (" \n\t ", "empty"), (String(repeating: "x", count: 256), "256 bytes"),
    (String(repeating: "é", count: 128), "256 bytes"),
    ("a\0b", "control"), ("a\nb", "control"), ("a\u{9b}b", "control"), ("a\r\nb", "control"),
  ])
func badRecipients(text: String, part: String) {
  #expect {
    try Wording.recipient(text)
  } throws: { error in
    guard case StagingError.invalid(let sentence)? = error as? StagingError else { return false }
    return sentence.contains(part)
  }
}

@Test("only names that we give are ours")
func bytesFileNames() {
  for name in [
    "0000000000000011-1.bytes", "0000000000000011-ffffffffffffffff.bytes", "00000000000000ff-100000002.sums",
  ] {
    #expect(BytesFile(name)?.name == name)
  }
  for name in [
    "11-1.bytes", "0000000000000011-.bytes", "0000000000000011.bytes", "0000000000000011-1", "000000000000001G-1.bytes",
    "marker", ".bytes",
    "0000000000000011-01.bytes", "0000000000000011-1.bytes.part", "0000000000000011-1.part",
    "0000000000000011-+1.bytes",
    "0000000000000011-A.bytes", "../0000000000011-1.bytes", "", "-.", "0000000000000011-10000000000000000.bytes",
  ] {
    #expect(BytesFile(name) == nil, "\(name)")
  }
}
