import Glibc

/// Whether these are the same bytes. The library's comparison goes by single elements, a hundred times slower without
/// optimisation, and on the loop that all tests share.
func isSame(_ one: [UInt8]?, _ other: [UInt8]?) -> Bool {
  guard let one, let other else { return one == nil && other == nil }
  return one.count == other.count && memcmp(one, other, one.count) == 0
}
