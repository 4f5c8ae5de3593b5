import Glibc

/// Files of bytes that a run which died left in the cache folder. Its items come back without bytes, so nobody would ever unlink them.
enum Leftovers {
  /// Whether it is a name that `TileStores` gives: sixteen hex digits, `-`, up to sixteen more, `.bytes`.
  static func isOurs(_ name: String) -> Bool {
    func isHex(_ text: Substring) -> Bool {
      (1...16).contains(text.utf8.count) && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
    guard name.hasSuffix(".bytes") else { return false }
    let parts = name.dropLast(6).split(separator: "-", omittingEmptySubsequences: false)
    return parts.count == 2 && parts[0].utf8.count == 16 && isHex(parts[0]) && isHex(parts[1])
  }

  /// Worker threads only.
  /// - Returns: how many went.
  static func unlink(in folder: Int32) -> Int {
    // A descriptor of its own, as reading a folder moves its offset.
    let descriptor = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return 0 }
    guard let listing = fdopendir(descriptor) else {
      close(descriptor)
      return 0
    }
    defer { closedir(listing) }
    var names: [String] = []
    while let entry = readdir(listing) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if isOurs(name) { names.append(name) }
    }
    return names.count { unlinkat(folder, $0, 0) == 0 }
  }
}
