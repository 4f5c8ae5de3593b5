import ControlModel
import Core

/// A parameter of a route's query, and the values that it takes. It is a value that does not change, in a
/// `RoutePattern`.
package struct RouteParameter: Sendable {
  package enum Kind: Sendable {
    case text
    case number(ClosedRange<Int>)
    /// An absolute path, or a `file:` URL of this machine.
    case path
  }

  package let name: String
  package let kind: Kind
  package let isRequired: Bool

  package static func text(_ name: String) -> RouteParameter {
    RouteParameter(name: name, kind: .text, isRequired: false)
  }

  package static func number(_ name: String, in range: ClosedRange<Int>) -> RouteParameter {
    RouteParameter(name: name, kind: .number(range), isRequired: false)
  }

  package static func path(_ name: String, isRequired: Bool = false) -> RouteParameter {
    RouteParameter(name: name, kind: .path, isRequired: isRequired)
  }

  /// - Parameter value: nil if the request does not have the parameter.
  func check(_ value: String?) throws(ControlError) {
    guard let value = value ?? (isRequired ? "" : nil) else { return }
    switch kind {
    case .text: break
    case .number(let range):
      guard let number = Int(value), range.contains(number) else {
        throw ControlError(.invalid, "\(name) has to be a whole number from \(range.lowerBound) to \(range.upperBound)")
      }
    case .path:
      guard Self.absolute(value) != nil else {
        throw ControlError(
          .invalid, "the parameter \(name) has to be an absolute path, or a file:// URL of this machine")
      }
    }
  }

  static func absolute(_ text: String) -> String? { FileAddress.path(text).flatMap { $0.hasPrefix("/") ? $0 : nil } }
}
