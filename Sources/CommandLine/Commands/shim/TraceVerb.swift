import ControlModel
import Syntax
import TerminalUI

/// `fsmvp trace`: it prints how long requests and steps of the loops took, as the API reports it. No state is kept.
enum TraceVerb {
  static func run(isJSON: Bool, client: APIClient, output: Terminal) throws(CommandFailure) {
    let body = try client.send("GET", ["trace"])
    if isJSON { return try output.print(json: body) }
    try output.print(text(try APIClient.decode(TraceReport.self, from: body), width: output.width))
  }

  static func text(_ report: TraceReport, width: Int?) -> String {
    requests(report, width: width) + slowSteps(report, width: width)
  }

  private static func requests(_ report: TraceReport, width: Int?) -> String {
    guard report.ops.contains(where: { !$0.segments.isEmpty }) else {
      return "No request of the kernel was timed yet.\n"
    }
    var table = TextTable([
      .text("OP"), .text("SEGMENT"), .number("COUNT"), .number("P50"), .number("P99"), .number("MAX"),
    ])
    for op in report.ops {
      for segment in op.segments {
        table.add([
          op.op, segment.segment, "\(segment.count)", time(segment.p50us), time(segment.p99us), time(segment.maxus),
        ])
      }
    }
    return table.render(width: width)
  }

  /// Nothing if there were none.
  private static func slowSteps(_ report: TraceReport, width: Int?) -> String {
    let loops = (report.loops ?? []).filter { !$0.recent.isEmpty }
    guard !loops.isEmpty else { return "" }
    var table = TextTable([.text("SLOW STEP"), .number("NUMBER"), .number("TOOK"), .number("PROCESSOR"), .text("FROM")])
    for loop in loops {
      for step in loop.recent {
        table.add([loop.loop, "\(step.number)", time(step.us), time(step.processorus), step.source])
      }
    }
    return "\n" + table.render(width: width)
  }

  /// Microseconds with the unit that makes them short, one decimal.
  static func time(_ microseconds: Double) -> String {
    func tenths(_ value: Double) -> String {
      let rounded = (value * 10).rounded() / 10
      return rounded == rounded.rounded() ? "\(Int(rounded))" : "\(rounded)"
    }
    guard microseconds.isFinite, microseconds >= 0, microseconds < 1e15 else { return "-" }
    if microseconds < 999.95 { return tenths(microseconds) + " us" }
    if microseconds < 999_950 { return tenths(microseconds / 1000) + " ms" }
    return tenths(microseconds / 1_000_000) + " s"
  }
}
