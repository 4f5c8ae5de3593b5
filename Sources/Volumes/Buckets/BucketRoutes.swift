/// The endpoints of the bucket API: a method, a path and its parameters each, and the operation behind it. It is a
/// constant; nothing here has a state.
package enum BucketRoutes {
  /// The beginnings of paths that are the bucket server's.
  package static let prefixes = ["/api/v0/bucket", "/_status/"]

  package struct Pattern: Sendable {
    package let method: String
    /// With "{bucket_id}" for a segment of any text.
    package let path: String
    /// Names that the query may have.
    package let parameters: [String]
  }

  package static var patterns: [Pattern] { all.map(\.pattern) }

  /// The parts of the connection that an operation needs, beside the request.
  struct Context {
    let service: BucketService
    let client: any WaitingClient
    /// Whether the client is a process of this user for sure.
    let isLocal: Bool
    let connection: OpaquePointer?
  }

  typealias Begin = @Sendable (BucketRequest, Context) throws(BucketError) -> any BodyReceiver

  struct Entry: Sendable {
    let pattern: Pattern
    let begin: Begin

    init(_ method: String, _ path: String, _ parameters: [String] = [], _ begin: @escaping Begin) {
      pattern = Pattern(method: method, path: path, parameters: parameters)
      self.begin = begin
    }

    func matches(_ path: [String]) -> Bool {
      let own = pattern.path.split(separator: "/")
      return own.count == path.count && zip(own, path).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
    }
  }

  /// - Throws: 404 and 405.
  static func find(_ request: BucketRequest) throws(BucketError) -> Entry {
    let entries = all.filter { $0.matches(request.path) }
    guard !entries.isEmpty else { throw BucketError(404, "not found") }
    guard let entry = entries.first(where: { $0.pattern.method == request.method }) else {
      throw BucketError(405, "Method not allowed: this path takes \(methods(request))")
    }
    return entry
  }

  /// For the header `Allow`.
  static func methods(_ request: BucketRequest) -> String {
    all.filter { $0.matches(request.path) }.map(\.pattern.method).joined(separator: ", ")
  }

  private static let all: [Entry] = buckets + files + status

  private static let buckets: [Entry] =
    [
      Entry("POST", "/api/v0/bucket") { $1.service.create($0) },
      Entry("POST", "/api/v0/bucket/list") { $1.service.list($0) },
      Entry("POST", "/api/v0/bucket/stat") { $1.service.stat($0) },
      Entry("POST", "/api/v0/bucket/history") { $1.service.history($0) },
      Entry("POST", "/api/v0/bucket/export") { $1.service.export($0, isLocal: $1.isLocal) },
      Entry("GET", "/api/v0/bucket/events", ["bucket_id", "since", "timeout"]) {
        (request, context) throws(BucketError) in
        try context.service.events(request, context.client)
      },
      Entry("GET", "/api/v0/bucket/conflicts", ["bucket_id"]) { (request, context) throws(BucketError) in
        try context.service.conflicts(request)
      },
    ]
    + ["publish", "latest-published", "share", "shares", "unshare", "ping"].map { name in
      Entry("POST", "/api/v0/bucket/\(name)") { _, _ in BucketService.missing(name) }
    }

  private static let files: [Entry] = [
    Entry("POST", "/api/v0/bucket/ls") { $1.service.listing($0) },
    Entry("POST", "/api/v0/bucket/stat-path") { $1.service.statPath($0) },
    Entry("POST", "/api/v0/bucket/cat") { $1.service.catJSON($0) },
    Entry("GET", "/api/v0/bucket/cat", ["bucket_id", "path", "at", "download"]) {
      (request, context) throws(BucketError) in
      try context.service.cat(request)
    },
    Entry("POST", "/api/v0/bucket/add") { (request, context) throws(BucketError) in
      try context.service.add(request, context.connection)
    },
    Entry("POST", "/api/v0/bucket/update") { (request, context) throws(BucketError) in
      try context.service.update(request, context.connection)
    },
    Entry("POST", "/api/v0/bucket/mkdir") { $1.service.makeFolder($0) },
    Entry("POST", "/api/v0/bucket/delete") { $1.service.delete($0) },
    Entry("POST", "/api/v0/bucket/mv") { $1.service.move($0) },
    Entry("POST", "/api/v0/bucket/rename") { $1.service.rename($0) },
    Entry("POST", "/api/v0/buckets/{bucket_id}/fs", ["mount_path", "filename", "on_conflict"]) {
      (request, context) throws(BucketError) in
      try context.service.upload(request)
    },
    Entry("PATCH", "/api/v0/buckets/{bucket_id}/fs", ["mount_path", "filename", "offset"]) {
      (request, context) throws(BucketError) in
      try context.service.patch(request)
    },
  ]

  private static let status: [Entry] = [
    Entry("GET", "/_status/livez") { _, context in NoBody { context.service.livez() } },
    Entry("GET", "/_status/readyz") { _, context in NoBody { context.service.readyz() } },
    Entry("GET", "/_status/version") { _, context in NoBody { context.service.versionReply() } },
    Entry("GET", "/_status/identity") { _, context in NoBody { context.service.identity() } },
  ]
}
