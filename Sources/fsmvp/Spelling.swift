/// What somebody may have meant by a word that does not exist.
enum Spelling {
  /// The one of `words` that is at most two letters away (one for short words), or that `word` begins; nil where none is near.
  static func nearest(to word: String, among words: [String]) -> String? {
    // The distance is quadratic, and no verb is long.
    guard word.utf8.count <= 40 else { return nil }
    let ranked = words.map { (word: $0, distance: distance(Array(word.lowercased().unicodeScalars), Array($0.unicodeScalars))) }
    // Begun and not ended: "stat" is status, though stage is as near.
    if word.count >= 3, let begun = words.first(where: { $0.hasPrefix(word.lowercased()) }) { return begun }
    if let best = ranked.min(by: { $0.distance < $1.distance }), best.distance <= (word.count <= 3 ? 1 : 2) { return best.word }
    return nil
  }

  /// Insertions, deletions and replacements from one to the other (Levenshtein).
  private static func distance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
    var last = Array(0...b.count)
    for (i, x) in a.enumerated() {
      var row = [i + 1]
      for (j, y) in b.enumerated() { row.append(min(last[j + 1] + 1, row[j] + 1, last[j] + (x == y ? 0 : 1))) }
      last = row
    }
    return last[b.count]
  }
}
