import Core

/// The events of a bucket, by long-poll.
extension BucketService {
  private static let longestWait: Int64 = 60
  private static let usualWait: Int64 = 30
  /// Events of an answer at most; the next request gets those behind them.
  private static let portion = 1000
  /// Between two looks whether the client is still there.
  private static let glance: Duration = .seconds(1)

  /// - Parameter client: the connection, for as long as it waits.
  func events(_ request: BucketRequest, _ client: any WaitingClient) throws(BucketError) -> any BodyReceiver {
    let id = try request.bucketID()
    let since = try request.number("since", in: 0...Int64.max)
    let seconds = try request.number("timeout", in: 0...86_400) ?? Self.usualWait
    return NoBody { [self] () throws(BucketError) in
      let store = try opened()
      let deadline = SystemClock().now() + .seconds(min(seconds, Self.longestWait))
      var view = try BucketView(store, bucket: id)
      guard let since else { return Self.answer(view, [], isReset: false) }
      guard var events = try view.events(after: since, limit: Self.portion) else {
        return Self.answer(view, [], isReset: true)
      }
      if events.isEmpty, seconds > 0 {
        try client.beginWaiting()
        defer { client.endWaiting() }
        while events.isEmpty {
          let glance = min(deadline, SystemClock().now() + Self.glance)
          let wake = store.followers.wait(for: id, after: since, until: glance)
          if wake == .closed { throw .stopping }
          if wake == .deadline {
            if SystemClock().now() >= deadline || client.isGone { break }
            continue
          }
          view = try BucketView(store, bucket: id)
          guard let found = try view.events(after: since, limit: Self.portion) else {
            return Self.answer(view, [], isReset: true)
          }
          events = found
        }
      }
      return Self.answer(view, events, isReset: false)
    }
  }

  private static func answer(_ view: BucketView, _ events: [BucketEvent], isReset: Bool) -> BucketReply {
    let list = events.map { event in
      var members: [(String, JSONText)] = [
        ("seq", .number(event.seq)), ("height", .number(event.height)), ("kind", .text(event.kind.rawValue)),
        ("path", .text(event.path)), ("origin", .text(event.origin)), ("is_dir", .flag(event.isFolder)),
      ]
      if let source = event.source { members.append(("from", .text(source))) }
      if let etag = event.etag { members.append(("etag", .text(etag))) }
      return JSONText.object(members)
    }
    return BucketReply([
      ("seq", .number(events.last?.seq ?? view.bucket.seq)), ("height", .number(view.bucket.height)),
      ("events", .list(list)), ("reset", .flag(isReset)),
    ])
  }
}

/// The client of a request that waits for events.
protocol WaitingClient: Sendable {
  /// - Throws: 503, if too many wait.
  func beginWaiting() throws(BucketError)
  func endWaiting()
  var isGone: Bool { get }
}
