import Core
import Testing

struct DurationsTests {
  @Test(
    "a time is read with its unit, and a bare number is seconds",
    arguments: [
      ("500ms", .milliseconds(500)), ("5s", .seconds(5)), ("2m", .seconds(120)), ("1h", .seconds(3600)),
      ("7", .seconds(7)),
      ("0", .zero), ("1.5s", .milliseconds(1500)), ("0.25m", .seconds(15)), ("3 s", .seconds(3)),
      (".5", .milliseconds(500)),
    ] as [(String, Duration)])
  func reads(text: String, duration: Duration) { #expect(Durations.parse(text) == duration) }

  @Test(
    "what is no time, or no sane one, is refused",
    arguments: [
      "", "s", "ms", "-1s", "+1", "1d", "1e3", "inf", "nan", "0x10", "1s1", "5 seconds", "1.2.3",
      "99999999999999999999h", "٣s", ".",
    ])
  func refuses(text: String) { #expect(Durations.parse(text) == nil) }

  @Test("a time is shown as it would be written", arguments: ["0s", "5s", "90s", "2m", "1h", "1500ms", "3601s"])
  func shows(text: String) { #expect(Durations.parse(text).map(Durations.format) == text) }
}
