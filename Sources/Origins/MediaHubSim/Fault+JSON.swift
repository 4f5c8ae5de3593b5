/// A fault as an admin route's JSON has it. These are pure functions.
extension Fault {
  /// `{"kind": "cut", "after": 1000, "file": ID, "count": 2, "from": 0}`; a count of 0 or less is without end, and so
  /// is a missing one where chance or time bounds the fault.
  init(_ json: JSON) throws(SimulatorError) {
    var fields = try Fields(json)
    guard let kind = try fields.string("kind") else { throw SimulatorError("'kind' is missing") }
    self.init(try Effect(kind, &fields))
    route = try fields.take("route") { $0.string.flatMap(Route.init) } ?? .storage
    file = try fields.string("file")
    let chance = try fields.take("probability") { $0.double.flatMap { 0...1 ~= $0 ? $0 : nil } }
    probability = chance ?? 1
    // A stall has taken its own "for_ms" by now.
    lifetime = try fields.take("active_ms", \.milliseconds)
    if lifetime == nil { lifetime = try fields.take("for_ms", \.milliseconds) }
    seed = try fields.int("seed").map { UInt64(bitPattern: $0) }
    let count = try fields.int("count") ?? (chance == nil && lifetime == nil ? 1 : 0)
    self.count = count > 0 ? Int(count) : nil
    skip = try fields.count("skip") ?? 0
    from = try fields.bytes("from")
    until = try fields.bytes("until")
    try fields.finish()
  }
}

extension Fault.Effect {
  /// So that its sum with a place in a file stays in range.
  private static let mostExcess: Int64 = 1 << 40

  fileprivate init(_ kind: String, _ fields: inout Fields) throws(SimulatorError) {
    switch kind {
    case "cut": self = .cut(after: try fields.bytes("after") ?? 0)
    case "reset": self = .reset(after: try fields.bytes("after") ?? 0)
    case "stall": self = .stall(after: try fields.bytes("after") ?? 0, for: try fields.take("for_ms", \.milliseconds))
    case "short": self = .short(bytes: try fields.bytes("bytes") ?? 0)
    case "long":
      let way = try fields.take("as") { $0.string.flatMap(Fault.Excess.init) } ?? .junk
      // A right answer without a length is one of these.
      let least: Int64 = way == .chunked || way == .close ? 0 : 1
      let bytes = try fields.take("bytes") { $0.byteCount.flatMap { least...Self.mostExcess ~= $0 ? $0 : nil } } ?? 1000
      self = .long(bytes: bytes, as: way)
    case "status":
      let status = UInt32(clamping: try fields.int("status") ?? 503)
      guard 200..<600 ~= status else { throw SimulatorError("status \(status)") }
      self = .status(status, retryAfter: try fields.int("retry_after").map(Int.init))
    case "delay": self = .delay(try fields.take("ms", \.milliseconds) ?? .zero)
    case "slow": self = .slow(rate: try fields.bytes("rate") ?? 1024)
    case "whole_body": self = .wholeBody
    case "wrong_start": self = .wrongStart(by: try fields.int("by") ?? 1)
    case "wrong_total": self = .wrongTotal(by: try fields.int("by") ?? 1)
    case "other_etag": self = .otherETag
    case "change": self = .change
    case "shifted": self = .shifted(by: try fields.int("by") ?? 4096)
    case "html_page": self = .htmlPage
    case "html_range": self = .htmlRange
    case "gzip": self = .gzip
    case "header":
      guard let name = try fields.string("name") else { throw SimulatorError("'name' is missing") }
      let value = try fields.take("value") { $0.string ?? $0.int.map(String.init) } ?? ""
      let isInstead = try fields.take("as") { ["more": false, "instead": true][$0.string ?? ""] } ?? false
      self = .header(name: name, value: value, instead: isInstead)
    case "part": self = .part(bytes: try fields.take("bytes") { $0.byteCount.flatMap { $0 > 0 ? $0 : nil } } ?? 1000)
    case "wide": self = .wide(by: try fields.bytes("by") ?? 1000)
    case "malformed": self = .malformed
    case "missing": self = .missing
    default: throw SimulatorError("no fault of kind '\(kind)'")
    }
  }

  /// The name the admin routes know it by; also the statistics' key.
  var kind: String {
    switch self {
    case .cut: "cut"
    case .reset: "reset"
    case .stall: "stall"
    case .short: "short"
    case .long: "long"
    case .status: "status"
    case .delay: "delay"
    case .slow: "slow"
    case .wholeBody: "whole_body"
    case .wrongStart: "wrong_start"
    case .wrongTotal: "wrong_total"
    case .otherETag: "other_etag"
    case .change: "change"
    case .shifted: "shifted"
    case .htmlPage: "html_page"
    case .htmlRange: "html_range"
    case .gzip: "gzip"
    case .header: "header"
    case .part: "part"
    case .wide: "wide"
    case .malformed: "malformed"
    case .missing: "missing"
    }
  }
}
