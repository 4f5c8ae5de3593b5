/// Where a request goes.
package enum Route: String, Sendable, CaseIterable { case token, jobs, job, files, downloads, storage }

/// Something that goes wrong with the requests it matches, as often as `count` says.
package struct Fault: Sendable {
  package enum Effect: Sendable, Equatable {
    /// The whole Content-Length is promised, the connection closed (FIN) after so many bytes of the body.
    case cut(after: Int64)
    /// The same with a TCP reset; after 0 bytes even the headers are missing.
    case reset(after: Int64)
    /// So many bytes of the body, then nothing: for ever, or for the time given.
    case stall(after: Int64, for: Duration?)
    /// A body of so many bytes with a Content-Length to match, though the Content-Range says otherwise.
    case short(bytes: Int64)
    case status(UInt32, retryAfter: Int?)
    /// Before the headers.
    case delay(Duration)
    /// This answer alone at so many bytes a second.
    case slow(rate: Int64)
    /// 200 and the file from its beginning, whatever range was asked for.
    case wholeBody
    /// The Content-Range claims another start (and end), or another total.
    case wrongStart(by: Int64)
    case wrongTotal(by: Int64)
    /// Another ETag on the same bytes; the If-Range that would have refused them is not looked at.
    case otherETag
    /// The file becomes another one for good: other bytes, ETag and date. `Simulator.change` does it without a request.
    case change
    /// The right length of another place of the file.
    case shifted(by: Int64)
    /// A small page with 200, or HTML of exactly the length of the range with 206.
    case htmlPage
    case htmlRange
    /// `Content-Encoding: gzip` on bytes that are not.
    case gzip
    /// API bodies cut in half; a Location that is no URL.
    case malformed
    /// API bodies without their important fields; a 302 without Location.
    case missing
  }

  package var route = Route.storage
  /// Nil for every file. The routes token, jobs and job have no file.
  package var file: String?
  package var effect: Effect
  /// How often; nil without end.
  package var count: Int? = 1
  /// Matching requests to let pass first.
  package var skip = 0
  /// Only requests whose first byte is at or after `from`, and before `until`.
  package var from: Int64?
  package var until: Int64?

  package init(
    _ effect: Effect, route: Route = .storage, file: String? = nil, count: Int? = 1, skip: Int = 0, from: Int64? = nil,
    until: Int64? = nil
  ) {
    (self.effect, self.route, self.file, self.count, self.skip) = (effect, route, file, count, skip)
    (self.from, self.until) = (from, until)
  }

  func matches(route: Route, file: String?, offset: Int64) -> Bool {
    route == self.route && (self.file == nil || self.file == file) && offset >= from ?? 0 && offset < until ?? .max
  }
}

/// Holds the answers it matches until it is released: before their headers where the request begins behind `from`, in the middle of
/// the body where the body gets there. Answers under way are held too.
package struct Gate: Sendable {
  package var route: Route
  package var file: String?
  package var from: Int64

  package init(route: Route = .storage, file: String? = nil, from: Int64 = 0) {
    (self.route, self.file, self.from) = (route, file, from)
  }

  func matches(route: Route, file: String?) -> Bool { route == self.route && (self.file == nil || self.file == file) }
}

extension Fault {
  /// `{"kind": "cut", "after": 1000, "file": ID, "count": 2, "from": 0}`; a count of 0 or less is without end.
  init(_ json: JSON) throws(SimulatorError) {
    var fields = try Fields(json)
    guard let kind = try fields.string("kind") else { throw SimulatorError("'kind' is missing") }
    self.init(try Effect(kind, &fields))
    route = try fields.take("route") { $0.string.flatMap(Route.init) } ?? .storage
    file = try fields.string("file")
    let count = try fields.int("count") ?? 1
    self.count = count > 0 ? Int(count) : nil
    skip = Int(try fields.int("skip") ?? 0)
    from = try fields.bytes("from")
    until = try fields.bytes("until")
    try fields.finish()
  }
}

extension Fault.Effect {
  fileprivate init(_ kind: String, _ fields: inout Fields) throws(SimulatorError) {
    switch kind {
    case "cut": self = .cut(after: try fields.bytes("after") ?? 0)
    case "reset": self = .reset(after: try fields.bytes("after") ?? 0)
    case "stall": self = .stall(after: try fields.bytes("after") ?? 0, for: try fields.take("for_ms", \.milliseconds))
    case "short": self = .short(bytes: try fields.bytes("bytes") ?? 0)
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
    case .malformed: "malformed"
    case .missing: "missing"
    }
  }
}
