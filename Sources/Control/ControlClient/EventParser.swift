/// Server-sent events (WHATWG HTML, 9.2) taken apart, in whatever pieces they come. It is a value that an `EventStream`
/// has for each connection.
struct EventParser {
  struct Event: Equatable {
    var id: String?
    var name: String
    var data: [UInt8]
  }

  /// A line longer than this is no event of ours: a snapshot of 100,000 items has some 100 MB.
  private static let limit = 256 << 20

  private var line: [UInt8] = []
  private var endedWithReturn = false
  private var name = ""
  private var data: [UInt8] = []
  private var hasData = false
  /// Stays from event to event, as the standard has it.
  private(set) var lastID: String?

  /// - Returns: false where what came is no stream of events.
  mutating func append(_ bytes: UnsafeRawBufferPointer, _ take: (Event) -> Void) -> Bool {
    var rest = bytes[...]
    while let end = rest.firstIndex(where: { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }) {
      let isSecondHalf = endedWithReturn && rest[end] == UInt8(ascii: "\n") && line.isEmpty && end == rest.startIndex
      endedWithReturn = rest[end] == UInt8(ascii: "\r")
      if !isSecondHalf {
        line.append(contentsOf: rest[rest.startIndex..<end])
        endLine(take)
        line.removeAll(keepingCapacity: line.capacity < 1 << 20)
      }
      rest = rest[(end + 1)...]
    }
    guard line.count + rest.count <= Self.limit else { return false }
    if !rest.isEmpty {
      endedWithReturn = false
      line.append(contentsOf: rest)
    }
    return true
  }

  private mutating func endLine(_ take: (Event) -> Void) {
    guard !line.isEmpty else {
      if hasData { take(Event(id: lastID, name: name.isEmpty ? "message" : name, data: data)) }
      (name, data, hasData) = ("", [], false)
      return
    }
    let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
    guard colon > 0 else { return }  // A comment.
    var value = line[colon...].dropFirst()
    if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
    switch String(decoding: line[..<colon], as: UTF8.self) {
    case "event": name = String(decoding: value, as: UTF8.self)
    case "id": if !value.contains(0) { lastID = String(decoding: value, as: UTF8.self) }
    case "data":
      if hasData { data.append(UInt8(ascii: "\n")) }
      data.append(contentsOf: value)
      hasData = true
    default: break
    }
  }
}
