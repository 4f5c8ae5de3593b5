/// How much of something is done, as a bar of a terminal. It is a pure function.
package enum ProgressBar {
  /// - Parameter columns: of the bar; its first eighth shows with the first byte, its last with the last.
  package static func text(_ done: Int64, of total: Int64, columns: Int) -> String {
    let eighths = eighths(done, of: total, columns: columns)
    let whole = eighths / 8
    let parts = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"]
    let bar = String(repeating: "█", count: whole) + parts[eighths % 8]
    return bar + String(repeating: "░", count: columns - whole - (eighths % 8 == 0 ? 0 : 1))
  }

  private static func eighths(_ done: Int64, of total: Int64, columns: Int) -> Int {
    let most = columns * 8
    guard total > 0, done < total else { return most }
    guard done > 0 else { return 0 }
    return min(most - 1, max(1, Int(Double(most) * Double(done) / Double(total))))
  }
}
