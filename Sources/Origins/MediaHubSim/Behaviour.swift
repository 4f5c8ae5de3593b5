/// The rules by which the simulator changes every answer; they can be set while it runs. The value in force is in
/// `Hub.State`, behind the hub's lock.
package struct Behaviour: Sendable {
  /// Bytes a second over all storage connections together; 0 is unlimited.
  package var rate: Int64 = 0
  /// Bytes a second of each storage answer.
  package var ratePerConnection: Int64 = 0
  /// Before the headers of each storage answer.
  package var firstByteDelay: Duration = .zero
  /// Before the headers of each API answer.
  package var apiDelay: Duration = .zero

  /// How the token answer spells its lifetime; the real service uses a string, its documentation a number.
  package enum LifetimeSpelling: String, Sendable { case string, number, absent }
  package var expiresIn = LifetimeSpelling.string
  package var tokenSeconds: Double = 7200
  /// A file's `size` in API bodies, as a number, as 1.0, or as a string.
  package enum NumberSpelling: String, Sendable { case number, float, string }
  package var sizeSpelling = NumberSpelling.number

  package var linkSeconds: Double = 3600
  /// Whether a link says when it ends: `Expires=` and epoch seconds, as CloudFront and S3 write it. Otherwise its end
  /// is the storage's secret.
  package var linkExpiryShown = false
  /// The answer to a link that has ended; with 400 it is S3's `ExpiredToken`.
  package var expiredStatus: UInt32 = 403
  /// A link is answered 404 while it is younger: it is not known everywhere yet.
  package var linkReadySeconds: Double = 0
  package var relativeLocation = false
  /// Redirects within the storage before the bytes come.
  package var storageHops = 0

  /// False: every answer is the whole file.
  package var ranges = true

  package enum Validators: String, Sendable {
    case strong, weak, none
    /// Two strong ETags of the same bytes by turns, as two edges of a network may have them; or another one in each
    /// answer.
    case edges, erratic
  }
  package var etag = Validators.strong
  package var lastModified = true
  /// Whether a change of the file shows in its date; not if it falls into the same second.
  package var dateChanges = true

  /// Storage requests under way at a time, from their admission to the last byte of their answer; 0 is unlimited.
  package var maxConnections = 0
  /// Storage requests admitted in any second; 0 is unlimited.
  package var maxRequestsPerSecond = 0
  /// The status of the answer to a request beyond the two limits.
  package var limitStatus: UInt32 = 429
  /// The Retry-After with it, in seconds; 0 leaves it out.
  package var limitRetryAfter = 1

  package init() {}

  /// Takes over what the JSON names and leaves the rest.
  mutating func merge(_ json: JSON) throws(SimulatorError) {
    var fields = try Fields(json)
    rate = try fields.bytes("rate") ?? rate
    ratePerConnection = try fields.bytes("rate_per_connection") ?? ratePerConnection
    firstByteDelay = try fields.take("first_byte_delay_ms", \.milliseconds) ?? firstByteDelay
    apiDelay = try fields.take("api_delay_ms", \.milliseconds) ?? apiDelay
    expiresIn = try fields.take("expires_in") { $0.string.flatMap(LifetimeSpelling.init) } ?? expiresIn
    tokenSeconds = try fields.take("token_seconds", \.double) ?? tokenSeconds
    sizeSpelling = try fields.take("size_spelling") { $0.string.flatMap(NumberSpelling.init) } ?? sizeSpelling
    linkSeconds = try fields.take("link_seconds", \.double) ?? linkSeconds
    linkExpiryShown = try fields.bool("link_expiry_shown") ?? linkExpiryShown
    expiredStatus = try fields.take("expired_status", \.refusal) ?? expiredStatus
    linkReadySeconds = try fields.take("link_ready_seconds", \.double) ?? linkReadySeconds
    relativeLocation = try fields.bool("relative_location") ?? relativeLocation
    storageHops = try fields.count("storage_hops") ?? storageHops
    ranges = try fields.bool("ranges") ?? ranges
    etag = try fields.take("etag") { $0.string.flatMap(Validators.init) } ?? etag
    lastModified = try fields.bool("last_modified") ?? lastModified
    dateChanges = try fields.bool("date_changes") ?? dateChanges
    maxConnections = try fields.count("max_connections") ?? maxConnections
    maxRequestsPerSecond = try fields.count("max_requests_per_second") ?? maxRequestsPerSecond
    limitStatus = try fields.take("limit_status", \.refusal) ?? limitStatus
    limitRetryAfter = try fields.count("limit_retry_after") ?? limitRetryAfter
    try fields.finish()
  }
}

extension JSON {
  /// A status of 400 to 599.
  fileprivate var refusal: UInt32? { int.flatMap { 400..<600 ~= $0 ? UInt32($0) : nil } }
  var milliseconds: Duration? { double.flatMap { $0 >= 0 && $0 < 1e9 ? .microseconds(Int64($0 * 1000)) : nil } }
}
