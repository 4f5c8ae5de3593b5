/// How long requests took, op by op and segment by segment of their way: `GET /api/v1/trace`. Times in microseconds. It
/// is a plain value.
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

  /// One of the control plane's loops. A step of it keeps everything else of the loop waiting; one of 2 ms or more is
  /// slow.
  package struct Loop: Sendable, Equatable, Codable {
    package struct Step: Sendable, Equatable, Codable {
      /// Counts the loop's slow steps, from 1.
      package var number: Int64
      /// The place in the source that the step's callback comes from, or "task".
      package var source: String
      package var us: Double
      /// The part of it that the processor worked, or a little more.
      package var processorus: Double

      package init(number: Int64, source: String, us: Double, processorus: Double) {
        (self.number, self.source, self.us, self.processorus) = (number, source, us, processorus)
      }
    }

    /// "dispatch" or "transfer".
    package var loop: String
    package var steps: Int64
    package var slow: Int64
    /// The last slow ones, the oldest first.
    package var recent: [Step]

    package init(loop: String, steps: Int64, slow: Int64, recent: [Step]) {
      (self.loop, self.steps, self.slow, self.recent) = (loop, steps, slow, recent)
    }
  }

  package var ops: [Operation]
  package var loops: [Loop]?

  package init(ops: [Operation], loops: [Loop] = []) { (self.ops, self.loops) = (ops, loops) }
}
