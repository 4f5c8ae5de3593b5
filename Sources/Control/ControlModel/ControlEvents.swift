/// Everything at one moment: the first event of a stream, and the one that makes up for events that were not taken. The
/// types of this file are plain values.
package struct ControlSnapshot: Sendable, Equatable, Codable {
  package var status: ControlStatus
  package var items: [StagedItem]
  /// Nil before there is a volume.
  package var cache: CacheReport?

  package init(status: ControlStatus, items: [StagedItem], cache: CacheReport?) {
    self.status = status
    self.items = items
    self.cache = cache
  }
}

/// An item that is there no more.
package struct ItemGone: Sendable, Equatable, Codable {
  package var id: String
  package init(id: String) { self.id = id }
}

/// How long the reads of the last second took.
package struct LatencyEvent: Sendable, Equatable, Codable {
  /// Powers of two, so that the last one begins at 8.4 s.
  package static let buckets = 24

  package var op: String
  /// `counts[k]`: requests that took 2^k up to 2^(k+1) microseconds; the first also counts faster ones, the last also
  /// slower ones.
  package var counts: [Int64]
  package var count: Int64
  package var p50us: Double
  package var p99us: Double

  package init(op: String, counts: [Int64], count: Int64, p50us: Double, p99us: Double) {
    self.op = op
    self.counts = counts
    self.count = count
    self.p50us = p50us
    self.p99us = p99us
  }
}

/// Something a person should hear of.
package struct Notice: Sendable, Equatable, Codable {
  package enum Level: String, Sendable, Codable { case info, warning, error }

  package var level: Level
  /// Stable, for programs.
  package var code: String
  /// One sentence.
  package var message: String
  /// The id of the item it is about.
  package var id: String?

  package init(_ level: Level, code: String, _ message: String, id: String? = nil) {
    self.level = level
    self.code = code
    self.message = message
    self.id = id
  }
}

/// An event as `GET /api/v1/events` gives it.
package enum ControlEvent: Sendable, Equatable {
  case snapshot(ControlSnapshot)
  case item(StagedItem)
  case gone(ItemGone)
  case status(ControlStatus)
  /// Without its items.
  case cache(CacheReport)
  case latency(LatencyEvent)
  case notice(Notice)

  /// The name in the stream's `event:` line.
  package var name: String {
    switch self {
    case .snapshot: "snapshot"
    case .item: "item"
    case .gone: "gone"
    case .status: "status"
    case .cache: "cache"
    case .latency: "latency"
    case .notice: "notice"
    }
  }

  /// The JSON of the stream's `data:` line.
  package func data() throws -> [UInt8] {
    switch self {
    case .snapshot(let value): try ControlJSON.encode(value)
    case .item(let value): try ControlJSON.encode(value)
    case .gone(let value): try ControlJSON.encode(value)
    case .status(let value): try ControlJSON.encode(value)
    case .cache(let value): try ControlJSON.encode(value)
    case .latency(let value): try ControlJSON.encode(value)
    case .notice(let value): try ControlJSON.encode(value)
    }
  }

  /// - Returns: nil for an event of a later version.
  package init?(name: String, data: [UInt8]) throws {
    switch name {
    case "snapshot": self = .snapshot(try ControlJSON.decode(ControlSnapshot.self, from: data))
    case "item": self = .item(try ControlJSON.decode(StagedItem.self, from: data))
    case "gone": self = .gone(try ControlJSON.decode(ItemGone.self, from: data))
    case "status": self = .status(try ControlJSON.decode(ControlStatus.self, from: data))
    case "cache": self = .cache(try ControlJSON.decode(CacheReport.self, from: data))
    case "latency": self = .latency(try ControlJSON.decode(LatencyEvent.self, from: data))
    case "notice": self = .notice(try ControlJSON.decode(Notice.self, from: data))
    default: return nil
    }
  }
}
