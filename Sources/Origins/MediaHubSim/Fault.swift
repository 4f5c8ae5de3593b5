/// The kind of a request, by its path.
package enum Route: String, Sendable, CaseIterable { case token, jobs, job, files, downloads, storage }

/// Something that goes wrong with the requests it matches, as often as `count` says. It is a value, as is `Gate`; those
/// in force are in `Hub.State`.
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
    /// So many bytes more than the Content-Range says, in the way `as` names.
    case long(bytes: Int64, as: Excess)
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
    /// A header line of the answer is added or put in the place of those of its name; an empty value leaves the name
    /// out. `{first}`, `{last}` and `{total}` stand for the positions of a Content-Range.
    case header(name: String, value: String, instead: Bool)
    /// The first bytes of the range alone, and the Content-Range says so.
    case part(bytes: Int64)
    /// So many bytes more before the range and behind it, and the Content-Range says so.
    case wide(by: Int64)
    /// API bodies cut in half; a Location that is no URL.
    case malformed
    /// API bodies without their important fields; a 302 without Location.
    case missing
  }

  /// How a body is longer than its range.
  package enum Excess: String, Sendable, CaseIterable {
    /// The Content-Length is right and the answer complete; the excess follows on the connection, which stays open.
    case junk
    /// The Content-Length says the larger number too.
    case length
    /// No Content-Length: in chunks, or to the end of the connection.
    case chunked, close
  }

  package var route = Route.storage
  /// Nil for every file. The routes token, jobs and job have no file.
  package var file: String?
  package var effect: Effect
  /// How often; nil without end.
  package var count: Int? = 1
  /// The part of the matching requests that it strikes, from 0 to 1. Each fault draws from dice of its own, so that the
  /// outcome does not depend on other requests.
  package var probability = 1.0
  /// How long it can happen, from its arming on; nil without end.
  package var lifetime: Duration?
  /// Matching requests to let pass first.
  package var skip = 0
  /// Only requests whose first byte is at or after `from`, and before `until`.
  package var from: Int64?
  package var until: Int64?

  /// Seed of the dice; nil: one from the simulator's own seed and the order of arming.
  package var seed: UInt64?

  package init(
    _ effect: Effect, route: Route = .storage, file: String? = nil, count: Int? = 1, skip: Int = 0, from: Int64? = nil,
    until: Int64? = nil, probability: Double = 1, lifetime: Duration? = nil
  ) {
    (self.effect, self.route, self.file, self.count, self.skip) = (effect, route, file, count, skip)
    (self.from, self.until, self.probability, self.lifetime) = (from, until, probability, lifetime)
  }

  func matches(route: Route, file: String?, offset: Int64) -> Bool {
    route == self.route && (self.file == nil || self.file == file) && offset >= from ?? 0 && offset < until ?? .max
  }
}

/// Holds the answers it matches until it is released: before their headers where the request begins behind `from`, in
/// the middle of the body where the body gets there. Answers under way are held too.
package struct Gate: Sendable {
  package var route: Route
  package var file: String?
  package var from: Int64

  package init(route: Route = .storage, file: String? = nil, from: Int64 = 0) {
    (self.route, self.file, self.from) = (route, file, from)
  }

  func matches(route: Route, file: String?) -> Bool { route == self.route && (self.file == nil || self.file == file) }
}
