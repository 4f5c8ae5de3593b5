import Core

/// What the simulator saw and did since its start or the last reset.
package struct Statistics: Sendable {
  /// By `Route`'s name; the redirects within the storage count as "hop", the admin routes do not count.
  package var requests: [String: Int] = [:]
  package var connections = 0
  /// Handed to the socket, by file; a cut connection may have lost the last of it.
  package var bytesSent: [String: Int64] = [:]
  package var linksMinted = 0
  package var tokensMinted = 0
  /// What a client should never send, by what it is: "authorization at storage", "accept-encoding at storage".
  package var unwanted: [String: Int] = [:]
  /// Faults that took place, by kind.
  package var faults: [String: Int] = [:]
  /// Storage answers in progress, and the most there were at a time.
  package var active = 0
  package var peakActive = 0
  /// Answers that a gate or a stall holds now.
  package var held = 0

  /// One storage request with a good link.
  package struct Asked: Sendable, Equatable {
    package var file: String
    /// Half open, unlike HTTP's. The whole file where the request had no Range or an unsatisfiable one.
    package var range: ByteRange
    package var isRanged: Bool
  }
  /// The first of them, in order of arrival; `askedDropped` counts those past the log's length.
  package var asked: [Asked] = []
  package var askedDropped = 0

  package func requests(_ route: Route) -> Int { requests[route.rawValue] ?? 0 }

  var json: JSON {
    func counts(_ counts: [String: Int]) -> JSON { .object(counts.sorted { $0.key < $1.key }.map { ($0.key, .int(Int64($0.value))) }) }
    return [
      "requests": counts(requests),
      "connections": .int(Int64(connections)),
      "bytes_sent": .object(bytesSent.sorted { $0.key < $1.key }.map { ($0.key, .int($0.value)) }),
      "bytes_total": .int(bytesSent.values.reduce(0, +)),
      "links_minted": .int(Int64(linksMinted)),
      "tokens_minted": .int(Int64(tokensMinted)),
      "unwanted": counts(unwanted),
      "faults": counts(faults),
      "active": .int(Int64(active)),
      "peak_active": .int(Int64(peakActive)),
      "held": .int(Int64(held)),
      "ranges": .array(
        asked.map {
          ["file": .string($0.file), "start": .int($0.range.start), "end": .int($0.range.end), "ranged": .bool($0.isRanged)]
        }),
      "ranges_dropped": .int(Int64(askedDropped)),
    ]
  }
}
