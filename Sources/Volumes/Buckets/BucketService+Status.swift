/// Health, what others of the network do, and which endpoints one machine alone does not have.
extension BucketService {
  func livez() -> BucketReply { BucketReply([("status", .text("ok"))]) }

  func readyz() -> BucketReply {
    store == nil
      ? BucketReply([("status", .text("failure")), ("message", .text(problem))], status: 503)
      : BucketReply([("status", .text("ok"))])
  }

  func versionReply() -> BucketReply {
    let features = ["fuse", "ranges", "events", "preconditions", "patch", "stat-path", "history"]
    return BucketReply([
      ("name", .text("fsmvp")), ("version", .text(version)), ("features", .list(features.map { .text($0) })),
    ])
  }

  func identity() -> BucketReply { BucketReply([("node_id", .text(nodeID))]) }

  static func missing(_ name: String) -> NoBody {
    NoBody { () throws(BucketError) in
      throw BucketError(501, "Not implemented: `\(name)` is about other peers, and this server has none")
    }
  }
}
