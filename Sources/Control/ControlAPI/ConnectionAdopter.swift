/// Another server of this process that takes connections of the API's Unix socket over: those whose first request is
/// for a path of its own. It is a value, which the control plane gives to the server.
package struct ConnectionAdopter: Sendable {
  /// The beginnings of its paths.
  package let prefixes: [String]
  /// Gets a connection of which nothing has been read, and closes it. Called on the dispatch loop.
  package let adopt: @Sendable (Int32) -> Void

  package init(prefixes: [String], adopt: @escaping @Sendable (Int32) -> Void) {
    self.prefixes = prefixes
    self.adopt = adopt
  }
}

/// The server that a connection's first bytes are for. It is a pure value.
enum FirstRequest: Equatable {
  case ours
  /// Whose paths have this index.
  case adopted(Int)
  /// More bytes will tell.
  case undecided

  /// Bytes that are looked at, at most.
  static let look = 128
  /// A method is no longer than that.
  private static let longestMethod = 16

  /// - Parameters:
  ///   - bytes: those that have come, from the first one on.
  ///   - prefixes: of paths, in the order of the adopters.
  init(_ bytes: some Collection<UInt8>, prefixes: [[String]]) {
    let method = bytes.prefix { $0 != 0x20 }
    guard method.count < Self.longestMethod, method.allSatisfy({ (0x41...0x5a).contains($0) }) else {
      self = .ours
      return
    }
    guard method.count < bytes.count else {
      self = .undecided
      return
    }
    let target = bytes.dropFirst(method.count + 1)
    var isOpen = false
    for (index, list) in prefixes.enumerated() {
      for prefix in list {
        if target.starts(with: prefix.utf8) {
          self = .adopted(index)
          return
        }
        if target.count < prefix.utf8.count, prefix.utf8.starts(with: target) { isOpen = true }
      }
    }
    self = isOpen ? .undecided : .ours
  }
}
