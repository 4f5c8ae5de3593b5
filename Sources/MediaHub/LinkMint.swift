import Transfer

/// The links of one object: which is the one to use, and that a burst of failures mints one new link. A pure value.
struct LinkMint {
  enum Wanted: Equatable {
    case use(Link)
    /// Mint it with this generation, then report `minted` or `failed`.
    case mint(generation: Int)
    /// Somebody is minting; wait for what they get.
    case join
  }

  private var current: Link?
  private var isMinting = false

  /// - Parameter stale: the link that no longer works, if one does not.
  mutating func want(replacing stale: Link?) -> Wanted {
    // Somebody else's failure was first: this one's link is replaced already.
    if let current, stale.map({ $0.generation < current.generation }) ?? true { return isMinting && stale == nil ? .join : .use(current) }
    if isMinting { return .join }
    isMinting = true
    return .mint(generation: max(current?.generation ?? 0, stale?.generation ?? 0) + 1)
  }

  mutating func minted(_ link: Link) {
    isMinting = false
    current = link
  }

  /// The link there was stays: whoever finds it bad asks again.
  mutating func failed() { isMinting = false }
}
