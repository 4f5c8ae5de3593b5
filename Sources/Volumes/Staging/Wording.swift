/// Checks of typed text before it goes anywhere. These are pure functions.
enum Wording {
  /// A recipient as the service gets it: white space at the ends is a typing mistake, everything else is meant (`/ & #
  /// % +`, `..`, UTF-8).
  static func recipient(_ text: String) throws(StagingError) -> String {
    let trimmed = trimmed(text)
    guard !trimmed.isEmpty else {
      throw .invalid("the recipient is empty: say who the copy is for, with --recipient TAG")
    }
    guard trimmed.utf8.count <= 255 else {
      throw .invalid("the recipient is too long: \(trimmed.utf8.count) bytes of UTF-8, 255 are allowed")
    }
    guard !trimmed.unicodeScalars.contains(where: isControl) else {
      throw .invalid("the recipient holds a control character (a line break, a tab, a NUL): leave it out")
    }
    return trimmed
  }

  /// The id of a file or a job.
  static func fileOrJob(_ text: String) throws(StagingError) -> String {
    let trimmed = trimmed(text)
    guard !trimmed.isEmpty else { throw .invalid("the file id is empty: `fsmvp jobs` lists the ids") }
    guard trimmed.utf8.count <= 255, !trimmed.unicodeScalars.contains(where: isControl) else {
      throw .invalid("that is no file id: longer than 255 bytes, or with control characters in it")
    }
    return trimmed
  }

  /// C0, DEL and C1.
  static func isControl(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.generalCategory == .control }

  /// By scalars: as a `Character`, a carriage return and a line feed are one thing that is neither.
  private static func trimmed(_ text: String) -> String {
    let scalars = text.unicodeScalars
    func isSpace(_ scalar: Unicode.Scalar) -> Bool {
      scalar == " " || scalar == "\n" || scalar == "\r" || scalar == "\t"
    }
    guard let first = scalars.firstIndex(where: { !isSpace($0) }), let last = scalars.lastIndex(where: { !isSpace($0) })
    else { return "" }
    return String(scalars[first...last])
  }
}
