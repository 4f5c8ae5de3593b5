/// The links of one object: which is the one to use, and that a burst of failures mints one new link. A pure value.
/// `HTTPSource` owns it.
struct LinkMint {
  enum Wanted: Equatable {
    case use(Link)
    /// Mint it with this generation, then report `minted` or `failed`.
    case mint(generation: Int)
    /// A mint is under way; wait for its result.
    case join
  }

  private var current: Link?
  private var isMinting = false

  /// - Parameter first: a link that was minted already.
  init(_ first: Link? = nil) { current = first }

  /// - Parameter stale: the generation of the link that no longer works, if one does not.
  mutating func want(replacing stale: Int?) -> Wanted {
    // Another failure was first: this caller's link is replaced already.
    if let current, stale.map({ $0 < current.generation }) ?? true {
      return isMinting && stale == nil ? .join : .use(current)
    }
    if isMinting { return .join }
    isMinting = true
    return .mint(generation: max(current?.generation ?? 0, stale ?? 0) + 1)
  }

  mutating func minted(_ link: Link) {
    isMinting = false
    current = link
  }

  /// The current link stays: a caller that finds it bad asks again.
  mutating func failed() { isMinting = false }
}
