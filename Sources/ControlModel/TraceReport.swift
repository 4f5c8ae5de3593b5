/// How long requests took, op by op and segment by segment of their way: `GET /api/v1/trace`. Times in microseconds.
package struct TraceReport: Sendable, Equatable, Codable {
  package struct Segment: Sendable, Equatable, Codable {
    /// A part of the way ("submitted", "fetched"...), or "total".
    package var segment: String
    package var count: Int64
    package var p50us: Double
    package var p99us: Double
    package var maxus: Double

    package init(segment: String, count: Int64, p50us: Double, p99us: Double, maxus: Double) {
      self.segment = segment
      self.count = count
      self.p50us = p50us
      self.p99us = p99us
      self.maxus = maxus
    }
  }

  package struct Operation: Sendable, Equatable, Codable {
    /// "read", "lookup"...
    package var op: String
    package var segments: [Segment]

    package init(op: String, segments: [Segment]) {
      self.op = op
      self.segments = segments
    }
  }

  package var ops: [Operation]

  package init(ops: [Operation]) { self.ops = ops }
}
