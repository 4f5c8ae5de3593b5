/// What somebody may have meant by a name that does not exist.
enum NearestName {
  /// The nearest of `names`, if it is near enough to be meant: a third of the letters may differ, and two always.
  static func of(_ name: String, in names: [String]) -> String? {
    // The distance is quadratic, and the name is the config's.
    guard name.utf8.count <= 64 else { return nil }
    let ranked = names.map { (name: $0, distance: distance(Array(name.lowercased().utf8), Array($0.utf8))) }
    guard let best = ranked.min(by: { $0.distance < $1.distance }), best.distance <= max(2, best.name.count / 3) else { return nil }
    return best.name
  }

  /// Insertions, deletions, replacements and swaps of neighbours from one to the other (optimal string alignment).
  static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
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
