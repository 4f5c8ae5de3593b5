import ControlModel
import Core
import Syntax
import TerminalUI

/// `fsmvp jobs`: it lists MediaHub's jobs, by the control API, or lets one be picked on a terminal. No state is kept.
enum JobsVerb {
  static func run(_ query: Command.JobsQuery, client: APIClient, output: Terminal) throws(CommandFailure) {
    if FullScreen.isPossible, !query.isTable, !query.isJSON {
      guard let chosen = try JobsPicker.run(search: query.search ?? "", client: client) else { return }
      let order = Command.StageOrder(file: chosen.file, recipient: chosen.recipient)
      return try StageVerb.run(order, config: nil, client: client, output: output)
    }
    let page = try all(query) { start, limit throws(CommandFailure) in
      var parameters = [("start", "\(start)"), ("limit", "\(limit)")]
      if let search = query.search { parameters.append(("search", search)) }
      return try APIClient.decode(
        MediaHubPage.self,
        from: try client.send("GET", ["jobs"], query: parameters, waiting: .others("asking MediaHub")))
    }
    guard query.isJSON else { return try output.print(text(page, query: query, width: output.width)) }
    guard let json = try? ControlJSON.encode(page) else {
      throw CommandFailure(.failed, "the jobs cannot be written as JSON")
    }
    try output.print(json: json)
  }

  /// Jobs asked for at once: a job may have hundreds of outputs, and what is asked for in parts neither MediaHub nor
  /// the control plane has to hold whole.
  static let part = 500

  /// The jobs that were asked for, part by part. Ends with a part that brings nothing new, whatever the total says.
  /// - Parameter ask: start and limit in, that part of the list out.
  static func all(
    _ query: Command.JobsQuery, ask: (_ start: Int, _ limit: Int) throws(CommandFailure) -> MediaHubPage
  ) throws(CommandFailure) -> MediaHubPage {
    var all = try ask(query.start, min(query.limit, part))
    var known = Set(all.jobs.map(\.id))
    var isMoving = !all.jobs.isEmpty
    while isMoving, all.jobs.count < query.limit, query.start + all.jobs.count < all.total {
      let next = try ask(query.start + all.jobs.count, min(query.limit - all.jobs.count, part))
      all.total = next.total
      // A list that moved meanwhile repeats a job or two; one that begins anew each time repeats all of them.
      isMoving = next.jobs.contains { known.insert($0.id).inserted }
      if isMoving { all.jobs += next.jobs }
      for job in next.jobs { known.insert(job.id) }
    }
    all.limit = query.limit
    return all
  }

  /// The table and, below it, which part of the list it is.
  static func text(_ page: MediaHubPage, query: Command.JobsQuery, width: Int?) -> String {
    guard !page.jobs.isEmpty else { return nothing(page, query: query) }
    var table = TextTable([
      .text("JOB"), .text("NAME", isCuttable: true), .text("FILE"), .text("OUTPUT", isCuttable: true), .number("SIZE"),
    ])
    for job in page.jobs {
      if job.outputs.isEmpty { table.add([job.id, job.name, "-", "(no output)", "-"]) }
      for output in job.outputs {
        table.add([job.id, job.name, output.fileId, output.name, ByteCount.format(output.size)])
      }
    }
    let (end, overflow) = page.start.addingReportingOverflow(page.jobs.count)
    guard !overflow else { return table.render(width: width) }
    var line = "Showing \(page.start &+ 1)-\(end) of \(max(page.total, end))"
    if end < page.total { line += "; next: \(command(query, start: end))" }
    return table.render(width: width) + line + "\n"
  }

  private static func nothing(_ page: MediaHubPage, query: Command.JobsQuery) -> String {
    if page.total > 0 {
      return "Nothing from \(page.start) on: there are \(page.total); first: \(command(query, start: 0))\n"
    }
    if let search = query.search { return "No finished job has “\(DisplayText.printable(search))” in its name.\n" }
    return "There are no finished jobs.\n"
  }

  private static func command(_ query: Command.JobsQuery, start: Int) -> String {
    var words = ["fsmvp jobs"]
    if let search = query.search { words.append("--search=\(shellWord(search))") }
    if start > 0 { words.append("--start \(start)") }
    if query.limit != JobsPaging.defaultLimit { words.append("--limit \(query.limit)") }
    return words.joined(separator: " ")
  }

  /// Quoted where a shell would take it apart.
  private static func shellWord(_ text: String) -> String {
    let text = DisplayText.printable(text)
    let isPlain = text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.,/@%+=:".contains($0)) }
    return isPlain
      ? text : "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#) + "'"
  }
}
