import ControlModel
import Core

/// The elements of a long list, a slice at a time: a slice is taken on the loop, its JSON is written on any thread. Its
/// closure has the position in the list; the body that sends the list owns it.
package struct ListSource: Sendable {
  /// Elements taken in one turn of the loop: a tenth of the 2 ms that one of its steps may take.
  package static let slice = 32

  /// Takes a slice; what it returns writes its JSON, without brackets. Nil after the last one.
  package let next: @DispatchLoop () -> (@Sendable () -> [UInt8])?

  /// - Parameter take: the next elements, at most `slice`; none at the end.
  package init<Element: Encodable & Sendable>(take: @escaping @DispatchLoop () -> [Element]) {
    next = {
      let elements = take()
      guard !elements.isEmpty else { return nil }
      return { Self.json(elements) }
    }
  }

  /// The elements with commas between them. None for an element that has no JSON.
  private static func json(_ elements: [some Encodable]) -> [UInt8] {
    guard let text = try? ControlJSON.encode(elements), text.count >= 2 else { return Array("null".utf8) }
    return Array(text[1..<(text.count - 1)])
  }
}
