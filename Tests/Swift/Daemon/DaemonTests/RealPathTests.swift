import Testing

@testable import Daemon

@Suite("A path without the links above the mount")
struct RealPathTests {
  /// Links by their path; asking about anything on the mount is an error.
  private func real(_ path: String, _ links: [String: String], mount: String = "/data/mnt") -> String? {
    RealPath.of(path, untouched: [mount]) { asked in
      if asked == mount || asked.hasPrefix(mount + "/") { Issue.record("the mount was asked about \(asked)") }
      return links[asked]
    }
  }

  @Test("links above the mount are followed, and nothing on the mount is touched")
  func realPaths() {
    let links = [
      "/home": "/data/home", "/data/home/me/stream": "../../mnt", "/data/home/me/here": "/data", "/round": "/round",
    ]
    #expect(real("/home/me/stream/Staged/x/y.mp4", links) == "/data/mnt/Staged/x/y.mp4")
    #expect(real("/home/me/here/mnt/Staged/x", links) == "/data/mnt/Staged/x")
    #expect(real("/home/me/here/../other", links) == "/other")
    #expect(real("/data//./mnt/Staged/x/../z", links) == "/data/mnt/Staged/z")
    #expect(real("/round/x", links) == nil)
    #expect(real("/", links) == "/")
  }
}
