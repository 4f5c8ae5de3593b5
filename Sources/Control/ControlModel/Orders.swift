/// The body of `POST /staged`. This file has the bodies of orders and of the answers to them; all are plain values.
package struct StageRequest: Sendable, Equatable, Codable {
  /// The id of a file, or of a job with exactly one output.
  package var file: String
  package var recipient: String
  /// Fetches before the first open of the file; missing means no.
  package var warm: Bool?

  package init(file: String, recipient: String, warm: Bool? = nil) {
    self.file = file
    self.recipient = recipient
    self.warm = warm
  }
}

/// The body of `PATCH /staged/ID`.
package struct PinRequest: Sendable, Equatable, Codable {
  package var pinned: Bool

  package init(pinned: Bool) { self.pinned = pinned }
}

/// The answer to `POST /shim/restart` and `POST /shim/kill`: the shim that serves now.
package struct ShimReply: Sendable, Equatable, Codable {
  package var epoch: Int
  package var pid: Int
  /// From the end of the last shim until this one served; missing where it is not known.
  package var outageMilliseconds: Double?

  package init(epoch: Int, pid: Int, outageMilliseconds: Double?) {
    self.epoch = epoch
    self.pid = pid
    self.outageMilliseconds = outageMilliseconds
  }
}

/// The answer to `POST /reload`: the status tells when it is done.
package struct ReloadReply: Sendable, Equatable, Codable {
  /// Stays the same.
  package var pid: Int
  /// The value that `reload.count` of the status will have.
  package var count: Int

  package init(pid: Int, count: Int) {
    self.pid = pid
    self.count = count
  }
}

/// The body of `POST /stop`; no body means no.
package struct StopRequest: Sendable, Equatable, Codable {
  /// Also drops the list of staged items.
  package var forget: Bool?

  package init(forget: Bool) { self.forget = forget }
}

/// The answer to `POST /stop`.
package struct StopReply: Sendable, Equatable, Codable {
  /// The process whose end is the end of the stop.
  package var pid: Int

  package init(pid: Int) { self.pid = pid }
}
