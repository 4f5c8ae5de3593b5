import Core
import Testing

struct NearestNameTests {
  @Test(
    "a misspelled name stands for the nearest one, if any is near",
    arguments: [
      ("stge", ["stage", "staged", "status"], "stage"), ("stat", ["stage", "staged", "status"], "status"),
      ("STAG", ["staged", "stage"], "stage"), ("restrat", ["restart", "kill"], "restart"),
      ("wbe", ["web", "scope"], "web"),
      ("max_range", ["max_ranges_per_file", "max_ranges"], "max_ranges"),
      ("Client_Secret", ["client_id", "client_secret"], "client_secret"),
      ("debug_fskit_singel_tread", ["debug_fskit_single_thread"], "debug_fskit_single_thread"),
      ("st", ["stop", "status"], nil), ("colour", ["scope", "workers"], nil), ("stop", ["restart", "kill"], nil),
      ("x", [], nil),
      (String(repeating: "a", count: 65), [String(repeating: "a", count: 66)], nil),
    ] as [(String, [String], String?)])
  func nearest(name: String, names: [String], expected: String?) {
    #expect(NearestName.of(name, in: names) == expected)
  }
}
