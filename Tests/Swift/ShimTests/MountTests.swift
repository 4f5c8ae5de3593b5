import CShim
import CWire
import Foundation
import Testing

@Suite struct MountTests {
  func escape(_ text: String, room: Int = 64) -> String? {
    var out = [CChar](repeating: 1, count: room)
    guard mount_escape(&out, room, text) else { return nil }
    return String(decoding: out.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  @Test func optionsAreEscaped() {
    #expect(escape("plain") == "plain")
    #expect(escape("a,b\\c") == "a\\,b\\\\c")
    #expect(escape("") == "")
    #expect(escape("Filme für Zoë") == "Filme für Zoë")
    for room in 1...12 {
      let escaped = escape(",,,,", room: room)
      #expect(escaped == nil || escaped == "\\,\\,\\,\\,")
    }
    #expect(escape(",,,,", room: 10) != nil)
  }

  let mountinfo = """
    22 1 254:0 / / rw,relatime - ext4 /dev/root rw
    42 27 0:39 / /home/me/My\\040Films\\134x ro,nosuid - fuse.fsmvp fsmvp ro
    43 42 0:40 / /home/me/FuseStream ro - fuse.fsmvp a\\040b ro
    44 42 0:41 / /home/me/FuseStream ro - fuse.fsmvp a\\040b ro
    45 42 0:42 / /home/me/Fusé ro - fuse.fsmvp x ro

    """

  @Test func mountinfoIsRead() {
    var major: UInt32 = 9
    var minor: UInt32 = 9
    #expect(mountinfo_find(mountinfo, "/home/me/My Films\\x", &major, &minor) && major == 0 && minor == 39)
    // The upper one of two mounts on one another is found.
    #expect(mountinfo_find(mountinfo, "/home/me/FuseStream", &major, &minor) && minor == 41)
    #expect(mountinfo_find(mountinfo, "/home/me/Fusé", &major, &minor) && minor == 42)
    #expect(mountinfo_find(mountinfo, "/", &major, &minor) && major == 254)
    #expect(!mountinfo_find(mountinfo, "/home/me/My", &major, &minor))
    #expect(!mountinfo_find(mountinfo, "/home/me/FuseStream/x", &major, &minor))
    #expect(!mountinfo_find("", "/", &major, &minor))
    #expect(!mountinfo_find("1 2\n\n 3 \\0", "/", &major, &minor))
    #expect(!mountinfo_find("1 2 x:y / /a\\04", "/a\\04", &major, &minor))
  }

  func parse(_ words: [String]) -> (Int32, options) {
    var options = options()
    var message = [CChar](repeating: 0, count: Int(SHIM_MESSAGE_MAX))
    var arguments = (["shim"] + words).map { strdup($0) }
    let result = options_parse(&options, Int32(arguments.count), &arguments, &message)
    #expect((result == 0) == (message[0] == 0))
    return (result, options)
  }

  @Test func commandLine() {
    let (result, options) = parse([
      "--mountpoint", "/m", "--listen", "3", "--root", "4", "--root", "5", "--read-only", "--workers", "4",
    ])
    #expect(result == 0)
    #expect(String(cString: options.mountpoint) == "/m")
    #expect(
      options.listen_fd == 3 && options.root_count == 2 && options.roots.1 == 5 && options.workers == 4
        && options.read_only)
    #expect(!options.allow_other && !options.xattr)
    let more = parse(["--mountpoint", "/m", "--listen", "3", "--allow-other", "--xattr"]).1
    #expect(more.allow_other && more.xattr && !more.read_only)
    #expect(parse(["--help"]).1.help)
    for bad in [
      [], ["--mountpoint", "/m"], ["--mountpoint", "relative", "--listen", "3"],
      ["--mountpoint", "/m", "--listen", "2"],
      ["--mountpoint", "/m", "--listen"], ["--mountpoint", "/m", "--listen", "x"],
      ["--mountpoint", "/m", "--listen", "3", "--workers", "17"],
      ["--mountpoint", "/m", "--listen", "3", "--workers", "-1"],
      ["--mountpoint", "/m", "--listen", "3", "--frob", "1"],
      ["--mountpoint", "/" + String(repeating: "m", count: 1024), "--listen", "3"],
    ] {
      #expect(parse(bad).0 == -EINVAL, "\(bad)")
    }
  }
}
