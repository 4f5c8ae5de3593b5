import ControlModel
import Testing

@testable import MediaHub

/// The service's bodies, as documented and as feared.
struct RecordsTests {
  private func jobs(_ text: String) -> JobsAnswer? { LenientJSON.object(JobsAnswer.self, from: Array(text.utf8)) }
  private func file(_ text: String) -> FileRecord? { LenientJSON.object(FileRecord.self, from: Array(text.utf8)) }

  @Test("a documented page is read")
  func documented() throws {
    let answer = try #require(
      jobs(
        """
        {"start": 0, "limit": 20, "total": 2, "jobs": [
          {"id": "j1", "status": "SUCCESS", "created_at": 1700000000000, "percentage_completed": 100.0,
           "input": {"input_name": "s3://bucket/path/raw.mov", "file": {"id": "i1", "href": "/v1/files/i1", "name": "Holiday.mov"}},
           "outputs": [{"output_name": "o", "preset": {"id": "p"}, "file":
             {"id": "f1", "name": "Holiday.mp4", "size": 12345, "mime_type": "video/quicktime, variant=(string)iso", "autograph": true}}]},
          {"id": "j2", "input": {"input_name": "s3://bucket/path/raw.mov?X-Amz-Signature=1/2"}, "outputs": [{"file": {"id": "f2", "href": "/v1/files/f2"}}]}
        ]}
        """))
    #expect(answer.total == 2)
    #expect(answer.jobs.map(\.id) == ["j1", "j2"])
    #expect(answer.jobs.map(\.name) == ["Holiday.mov", "raw.mov"])
    #expect(
      answer.jobs.first?.outputs.first?.output
        == MediaHubOutput(fileId: "f1", name: "Holiday.mp4", size: 12345, contentType: "video/quicktime"))
    #expect(answer.jobs.last?.outputs.map(\.isStub) == [true])
  }

  @Test("missing and wrong-typed fields read as nothing, wrong elements are skipped")
  func tolerant() throws {
    for text in ["{}", #"{"jobs": null}"#, #"{"jobs": "none", "total": {}}"#, #"{"jobs": 3, "total": 3}"#] {
      let answer = try #require(jobs(text))
      #expect(answer.jobs.isEmpty && !answer.hasList && answer.total > 0, "not an empty list: \(text)")
    }
    let none = try #require(jobs(#"{"jobs": null, "total": 0}"#))
    #expect(none.jobs.isEmpty && none.total == 0)
    let answer = try #require(
      jobs(
        """
        {"total": "7", "jobs": [1, null, "x", [], {"id": 5, "input": 3, "outputs": {"a": 1}},
          {"id": "j", "input": {"file": "no", "input_name": ["no"]}, "outputs": [null, 3, {"file": 1}, {"nofile": {}}, {"file": {"id": "f", "size": [1], "name": 2}}, {"file": {}}]}]}
        """))
    #expect(answer.total == 7)
    #expect(answer.jobs.map(\.id) == ["5", "j"] && answer.rows == 6)
    #expect(answer.jobs.last?.name == "j")
    #expect(answer.jobs.last?.outputs.map(\.id) == ["f", ""])
    #expect(answer.jobs.last?.outputs.compactMap(\.output).isEmpty == true)
  }

  @Test(
    "numbers as texts and texts as numbers, null, one element in place of a list, unknown fields and a byte order mark are understood"
  )
  func spellings() throws {
    let answer = try #require(
      jobs(
        "\u{feff}"
          + #"{"total": " 2 ", "etc": {"a": [1]}, "jobs": {"id": 17, "status": "NEW_ONE", "input": null, "outputs": {"file": {"id": 4, "name": 7, "size": " 5 ", "mime_type": null}}}}"#
      ))
    #expect(answer.total == 2 && answer.jobs.map(\.id) == ["17"])
    #expect(
      answer.jobs.first?.outputs.first?.output == MediaHubOutput(fileId: "4", name: "7", size: 5, contentType: ""))
  }

  @Test(
    "what is no JSON object is no answer",
    arguments: ["", "[]", "null", "7", "\"x\"", "<html>", "{", #"{"jobs": ["#, #"{"jobs": []"#])
  func garbage(text: String) { #expect(jobs(text) == nil) }

  @Test("bytes that are not UTF-8, and nesting without end, are no answer")
  func hostile() {
    #expect(LenientJSON.object(JobsAnswer.self, from: [0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]) == nil)
    #expect(jobs(#"{"jobs": "# + String(repeating: "[", count: 200_000)) == nil)
  }

  @Test(
    "a size is an integer, a float or a text of one; nothing else is a size",
    arguments: [
      ("5", 5), ("5.0", 5), ("5.9", 5), ("1e3", 1000), (#""5""#, 5), (#""5.0""#, 5), ("0", 0), ("-1", -1),
      ("9223372036854775807", .max),
      ("9223372036854775808", nil), ("1e300", nil), (#""1e999""#, nil), (#""nan""#, nil), (#""""#, nil),
      (#""5 MB""#, nil), ("true", nil),
      ("null", nil), ("[5]", nil), (#"{"a": 5}"#, nil), ("5000000000", 5_000_000_000),
    ] as [(String, Int64?)])
  func sizes(spelling: String, size: Int64?) throws {
    #expect(try #require(file(#"{"id": "f", "name": "n", "size": \#(spelling)}"#)).size == size)
  }

  @Test("an output needs an id and a size that a file can have; an explicit 0 is one")
  func outputs() throws {
    #expect(try #require(file(#"{"id": "f", "name": "n", "size": 0}"#)).output?.size == 0)
    #expect(try #require(file(#"{"id": "f", "name": "n", "size": -1}"#)).output == nil)
    #expect(try #require(file(#"{"id": "f", "name": "n"}"#)).output == nil)
    #expect(try #require(file(#"{"id": "", "name": "n", "size": 1}"#)).output == nil)
    #expect(try #require(file(#"{"id": "f", "size": 1}"#)).output?.name == "f")
  }

  @Test(
    "a media type is cut at its first comma",
    arguments: [
      ("video/mp4", "video/mp4"), ("video/quicktime, variant=(string)iso", "video/quicktime"),
      (" video/mp4 , x", "video/mp4"), (",x", ""),
      ("", ""),
    ])
  func types(written: String, type: String) throws {
    #expect(try #require(file(#"{"mime_type": "\#(written)"}"#)).contentType == type)
  }
}
