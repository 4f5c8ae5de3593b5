import Core

/// Counts of the simulator's requests and answers since its start or the last reset. They are a value in `Hub.State`,
/// behind the hub's lock; a reader gets a copy.
package struct Statistics: Sendable {
  /// By `Route`'s name; the redirects within the storage count as "hop", the admin routes do not count.
  package var requests: [String: Int] = [:]
  /// Answers by their status, "none" where the connection ended without; the admin routes do not count.
  package var statuses: [String: Int] = [:]
  package var connections = 0
  /// Handed to the socket, by file; a cut connection may have lost the last of it.
  package var bytesSent: [String: Int64] = [:]
  package var linksMinted = 0
  package var linksByFile: [String: Int] = [:]
  /// Storage requests with a link past its end, or revoked.
  package var expiredLinks = 0
  package var revokedLinks = 0
  /// Signed requests by their outcome, "accepted" or "refused".
  package var signed: [String: Int] = [:]
  package var tokensMinted = 0
  /// Headers that a client should never send: "authorization at storage", "accept-encoding at storage".
  package var unwanted: [String: Int] = [:]
  /// Faults that took place, by kind.
  package var faults: [String: Int] = [:]
  /// Storage answers in progress, and the most there were at a time.
  package var active = 0
  package var peakActive = 0
  /// Storage requests beyond the limits, and such that came while the storage was refusing.
  package var limited = 0
  package var refused = 0
  /// The most storage requests under way at a time, waits for their first byte included: in each second from the first
  /// request on.
  package var peakBySecond: [Int] = []
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
    func counts(_ counts: [String: Int]) -> JSON {
      .object(counts.sorted { $0.key < $1.key }.map { ($0.key, .int(Int64($0.value))) })
    }
    return [
      "requests": counts(requests),
      "statuses": counts(statuses),
      "connections": .int(Int64(connections)),
      "bytes_sent": .object(bytesSent.sorted { $0.key < $1.key }.map { ($0.key, .int($0.value)) }),
      "bytes_total": .int(bytesSent.values.reduce(0, +)),
      "links_minted": .int(Int64(linksMinted)),
      "links_by_file": counts(linksByFile),
      "expired_links": .int(Int64(expiredLinks)),
      "revoked_links": .int(Int64(revokedLinks)),
      "signed": counts(signed),
      "tokens_minted": .int(Int64(tokensMinted)),
      "unwanted": counts(unwanted),
      "faults": counts(faults),
      "active": .int(Int64(active)),
      "peak_active": .int(Int64(peakActive)),
      "peak_by_second": .array(peakBySecond.map { .int(Int64($0)) }),
      "limited": .int(Int64(limited)),
      "refused": .int(Int64(refused)),
      "held": .int(Int64(held)),
      "ranges": .array(
        asked.map {
          [
            "file": .string($0.file), "start": .int($0.range.start), "end": .int($0.range.end),
            "ranged": .bool($0.isRanged),
          ]
        }),
      "ranges_dropped": .int(Int64(askedDropped)),
    ]
  }
}
