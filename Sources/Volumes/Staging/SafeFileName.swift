import Volume

/// A name for a file as the service calls it, which every file system and shell can live with. It is a pure function.
extension FileName {
  /// A name that a directory may hold and a browser may show, from one that a service made up.
  ///
  /// Characters that break a path or a line of text become `_`: `/`, control characters, line separators, and the marks
  /// that turn the direction of writing round (by which "exe" can look like "mp4"). At most 255 bytes of UTF-8, cut on
  /// a character's boundary before the extension.
  static func safe(_ text: String, contentType: String) -> FileName {
    var name = String.UnicodeScalarView()
    for scalar in text.unicodeScalars { name.append(isUnsafe(scalar) ? "_" : scalar) }
    let replaced = String(name)
    guard replaced.unicodeScalars.contains(where: { $0 != "." && $0 != " " }) else {
      return FileName("video" + fileExtension(contentType))
    }
    return FileName(cut(replaced, to: 255))
  }

  private static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x2f, 0x2028, 0x2029, 0x202a...0x202e, 0x2066...0x2069: true
    default: Wording.isControl(scalar)
    }
  }

  private static func cut(_ name: String, to limit: Int) -> String {
    guard name.utf8.count > limit else { return name }
    var stem = name[...]
    var kept: Substring = ""
    // By scalars, as a dot with an accent on it is a character of its own and no dot.
    if let dot = name.unicodeScalars.lastIndex(of: "."), dot > name.startIndex, name[dot...].utf8.count <= 17 {
      stem = name[..<dot]
      kept = name[dot...]
    }
    var room = limit - kept.utf8.count
    var head = ""
    for character in stem {
      guard character.utf8.count <= room else { break }
      room -= character.utf8.count
      head.append(character)
    }
    if head.isEmpty {
      // One character of hundreds of accents: a part of it is better than nothing.
      for scalar in stem.unicodeScalars {
        let size = UTF8.width(scalar)
        guard size <= room else { break }
        room -= size
        head.unicodeScalars.append(scalar)
      }
    }
    return head + kept
  }

  private static func fileExtension(_ contentType: String) -> String {
    let type = contentType.prefix { $0 != ";" && $0 != "," }.filter { $0 != " " }.lowercased()
    return switch type {
    case "video/mp4", "application/mp4": ".mp4"
    case "video/quicktime": ".mov"
    case "video/x-matroska": ".mkv"
    case "video/webm": ".webm"
    case "video/mpeg": ".mpg"
    case "video/mp2t": ".ts"
    case "video/x-msvideo", "video/avi": ".avi"
    case "video/3gpp": ".3gp"
    case "application/mxf": ".mxf"
    default: ""
    }
  }
}
