import ControlClient
import Testing

@testable import fsmvp_tile

@Suite("The tile's command line")
struct TileArgumentsTests {
  private func parse(_ words: String...) throws(TileFailure) -> TileArguments { try TileArguments(words) }

  @Test("all items, or one")
  func wishes() throws {
    #expect(try parse().wish == .window(item: nil))
    #expect(try parse("abc").wish == .window(item: "abc"))
    #expect(try parse("--", "--abc").wish == .window(item: "--abc"))
    #expect(try parse("--help", "abc").wish == .help)
    #expect(try parse("--version").wish == .version)
    #expect(try parse("--version", "-h").wish == .help)
  }

  @Test("flags, in any order, with or without the equals sign")
  func flags() throws {
    #expect(try parse("--config", "/a b", "x").config == "/a b")
    #expect(try parse("x", "--config=/a").config == "/a")
    #expect(try parse("--wait").waits)
    #expect(try !parse().waits)
  }

  @Test(
    "what is wrong is said",
    arguments: [["a", "b"], ["--nonsense"], ["-x"], ["--config"], ["--config", "--wait"], ["--config="], [""]])
  func wrong(_ words: [String]) {
    let failure = #expect(throws: TileFailure.self) { try TileArguments(words) }
    #expect(failure?.code == .usage)
  }

  @Test("failures of the API have the exit codes of `fsmvp`")
  func codes() {
    #expect(TileFailure(ClientFailure(.noControlPlane, "x")).code == .noControlPlane)
    #expect(TileFailure(ClientFailure(.refused(code: "stopping"), "x")).code == .noControlPlane)
    #expect(TileFailure(ClientFailure(.refused(code: "failed"), "x")).code == .failed)
    #expect(TileFailure(ClientFailure(.usage, "x")).code == .usage)
  }
}
