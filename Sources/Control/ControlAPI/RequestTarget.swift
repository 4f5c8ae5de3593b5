import ControlModel
import Core

/// The path and query of a request, taken apart: `/api/v1/staged/x%20y?limit=5` -> ["api","v1","staged","x y"],
/// ["limit": "5"]. Nothing is normalised: `staged/` is not `staged`, or an item without a name would be all of them. It
/// is a value, made by a pure function of the text.
struct RequestTarget: Equatable {
  private(set) var path: [String] = []
  private(set) var query: [String: String] = [:]

  /// - Throws: `invalid` for bad percent-encoding, text that is no UTF-8 or has a NUL, and a parameter given twice.
  init(_ raw: String) throws(ControlError) {
    let halves = raw.utf8.split(separator: UInt8(ascii: "?"), maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = halves.first, first.first == UInt8(ascii: "/") else {
      throw ControlError(.invalid, "the request's target has to begin with a slash")
    }
    for segment in first.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
      path.append(try Self.decode(segment, isForm: false))
    }
    guard halves.count == 2 else { return }
    for pair in halves[1].split(separator: UInt8(ascii: "&")) {
      let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      let name = try Self.decode(parts[0], isForm: true)
      let value = parts.count == 2 ? try Self.decode(parts[1], isForm: true) : ""
      guard query.updateValue(value, forKey: name) == nil else {
        throw ControlError(.invalid, "the parameter \(name) is given twice")
      }
    }
  }

  private static func decode(_ text: Substring.UTF8View, isForm: Bool) throws(ControlError) -> String {
    guard let bytes = PercentEncoding.decode(text, isForm: isForm) else {
      throw ControlError(.invalid, "a percent sign in the request's target is not followed by two hex digits")
    }
    guard !bytes.contains(0), let decoded = String(validating: bytes, as: UTF8.self) else {
      throw ControlError(.invalid, "the request's target is not UTF-8 text")
    }
    return decoded
  }
}
