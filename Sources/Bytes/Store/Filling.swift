/// The part of a file that is fetched although no read waits for it, and whether it is kept. It is a value: `OpenFile`
/// makes it, and the file's `FetchPlan` keeps it.
package struct Filling: Equatable, Sendable {
  /// Readers have it open: what comes next for those that read on is fetched before they ask.
  package var isOpen: Bool
  /// All of it is fetched, whether it is read or not; where it is not open, behind everything that is.
  package var isWhole: Bool
  /// The bytes that are here stay, though nothing more is fetched.
  package var isKept: Bool

  package init(isOpen: Bool = false, isWhole: Bool = false, isKept: Bool = false) {
    self.isOpen = isOpen
    self.isWhole = isWhole
    self.isKept = isKept || isOpen || isWhole
  }

  /// Only what a read waits for.
  package static let none = Filling()
  /// The same, soon after the last close.
  package static let kept = Filling(isKept: true)
  package static let readers = Filling(isOpen: true)
  package static let whole = Filling(isWhole: true)

  /// Lets a `case` match by equality.
  package static func ~= (pattern: Filling, value: Filling) -> Bool { pattern == value }

  /// Anything is fetched that no read waits for.
  package var isAny: Bool { isOpen || isWhole }
}
