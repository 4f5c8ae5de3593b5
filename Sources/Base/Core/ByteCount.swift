/// Bytes as people write and read them: "64MiB", "1.5 GiB", 4096. These are pure functions.
package enum ByteCount {
  private static let units: [(name: String, factor: Int64)] = [
    ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000), ("KB", 1000), ("B", 1),
  ]

  /// A whole number of bytes, or a number and a unit; nil for anything else, negative or past 2^62.
  package static func parse(_ text: String) -> Int64? {
    var number = text.filter { $0 != " " && $0 != "_" }
    var factor: Int64 = 1
    if let unit = units.first(where: { number.lowercased().hasSuffix($0.name.lowercased()) }) {
      number.removeLast(unit.name.count)
      factor = unit.factor
    }
    if let whole = Int64(number) {
      let (product, overflow) = whole.multipliedReportingOverflow(by: factor)
      return overflow || product < 0 || product > 1 << 62 ? nil : product
    }
    guard factor > 1, let value = Double(number), value >= 0, value * Double(factor) < 4e18 else { return nil }
    return Int64(value * Double(factor))
  }

  /// With a binary unit and at most one decimal: "512 MiB", "1.5 GiB", "17 B".
  package static func format(_ count: Int64) -> String {
    for unit in units.prefix(4) where count >= unit.factor {
      let tenths = Int64((Double(count) / Double(unit.factor) * 10).rounded())
      return tenths % 10 == 0 ? "\(tenths / 10) \(unit.name)" : "\(tenths / 10).\(tenths % 10) \(unit.name)"
    }
    return "\(count) B"
  }

  /// Whole per cent, rounded down, so that 100 means all of it; of nothing, all is there.
  package static func percent(_ part: Int64, of whole: Int64) -> Int {
    guard whole > 0 else { return 100 }
    return Int(whole.dividingFullWidth(min(max(0, part), whole).multipliedFullWidth(by: 100)).quotient)
  }
}
