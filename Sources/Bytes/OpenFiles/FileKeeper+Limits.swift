import Glibc

/// How many stores may stand, by the limit of descriptors: computed once, when the cache is made, without state.
extension FileKeeper.Rules {
  /// Descriptors that are not for files of bytes: connections, the journal, the mount, shims, the control API.
  private static var reserve: UInt64 { 256 }
  /// Rows of a mount's lease table, less some for windows beside files.
  private static var rows: Int { 16_000 }

  /// The rules with the limits that this process has now: a store has a descriptor and a row.
  package static func limits() -> FileKeeper.Rules {
    var limit = rlimit()
    let descriptors =
      getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? UInt64(limit.rlim_cur) : 1024
    return limits(descriptors: descriptors)
  }

  static func limits(descriptors: UInt64) -> FileKeeper.Rules {
    var rules = FileKeeper.Rules()
    // Below the reserve a quarter is all that can be spared.
    let spare = descriptors > 2 * reserve ? descriptors - reserve : descriptors / 2
    rules.capacity = max(8, min(rows, Int(clamping: spare)))
    rules.resting = max(4, min(256, rules.capacity / 4))
    return rules
  }
}
