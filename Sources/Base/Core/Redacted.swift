/// A secret: a token, a client secret, a signed URL. It prints as `‹redacted›`; `reveal()` is the one way to the value,
/// so that a search for it lists every place that can leak. It is a plain value.
package struct Redacted<Value: Sendable>: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
  CustomReflectable
{
  private let value: Value
  package init(_ value: Value) { self.value = value }
  package func reveal() -> Value { value }
  package var description: String { "‹redacted›" }
  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: [:]) }
}

extension Redacted: Equatable where Value: Equatable {}
