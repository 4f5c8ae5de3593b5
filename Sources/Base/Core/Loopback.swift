/// Which hosts are this machine, and so may be spoken to without TLS. It is a pure function of the name, which asks no
/// name server.
package enum Loopback {
  /// 127.0.0.0/8, ::1 and localhost, as they stand in a URL (an address of colons with or without its brackets); no
  /// name is looked up.
  package static func contains(_ host: some StringProtocol) -> Bool {
    let host = host.lowercased()
    if host == "localhost" || host == "[::1]" || host == "::1" { return true }
    // Four plain decimal numbers: other spellings of an address (octal, hex, fewer parts) are refused, not interpreted.
    let octets = host.split(separator: ".", omittingEmptySubsequences: false).map { part in
      part.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } && part.utf8.count <= 3 ? UInt8(part) : nil
    }
    return octets.count == 4 && octets[0] == 127 && !octets.contains(nil)
  }
}
