/// The name that a misspelled one most likely stands for: a key, a verb, a flag. It is a pure function.
package enum NearestName {
  /// The distance is quadratic, and no name that is meant is longer.
  private static let longest = 64

  /// The shortest of `names` that `name` begins, else the nearest of them if it is near enough to be meant: a third of
  /// its letters may differ, and two always, but only one if `name` has no more than three. Of names that are as near,
  /// the first.
  package static func of(_ name: String, in names: [String]) -> String? {
    let name = name.lowercased()
    guard name.utf8.count <= longest else { return nil }
    // Begun and not ended: "stat" is status, though stage is as near.
    let begun = name.count < 3 ? [] : names.filter { $0.hasPrefix(name) }
    if let shortest = begun.min(by: { $0.count < $1.count }) { return shortest }
    let ranked = names.map { (name: $0, distance: distance(Array(name.unicodeScalars), Array($0.unicodeScalars))) }
    guard let best = ranked.min(by: { $0.distance < $1.distance }) else { return nil }
    return best.distance <= (name.count <= 3 ? 1 : max(2, best.name.count / 3)) ? best.name : nil
  }

  /// Insertions, deletions, replacements and swaps of neighbours from one to the other (optimal string alignment).
  private static func distance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
    var beforeLast: [Int] = []
    var last = Array(0...b.count)
    for (i, x) in a.enumerated() {
      var row = [i + 1]
      for (j, y) in b.enumerated() {
        var least = min(last[j + 1] + 1, row[j] + 1, last[j] + (x == y ? 0 : 1))
        if i > 0, j > 0, x == b[j - 1], a[i - 1] == y { least = min(least, beforeLast[j - 1] + 1) }
        row.append(least)
      }
      (beforeLast, last) = (last, row)
    }
    return last[b.count]
  }
}
