import ControlAPI
import ControlModel
import Core
import MediaHub

/// `fsmvp jobs`
enum JobsVerb {
  static func run(_ query: Command.JobsQuery, client: APIClient, output: Terminal) throws(CommandFailure) {
    if FullScreen.isPossible, !query.isTable, !query.isJSON {
      guard let chosen = try JobsPicker.run(search: query.search ?? "", client: client) else { return }
      let order = Command.StageOrder(file: chosen.file, recipient: chosen.recipient)
      return try StageVerb.run(order, config: nil, client: client, output: output)
    }
    var parameters = [("start", "\(query.start)"), ("limit", "\(query.limit)")]
    if let search = query.search { parameters.append(("search", search)) }
    let body = try client.send("GET", ["jobs"], query: parameters, waiting: .others("asking MediaHub"))
    if query.isJSON { return try output.print(json: body) }
    let page = try APIClient.decode(MediaHubPage.self, from: body)
    try output.print(text(page, query: query, width: output.width))
  }

  /// The table and, below it, which part of the list it is.
  static func text(_ page: MediaHubPage, query: Command.JobsQuery, width: Int?) -> String {
    guard !page.jobs.isEmpty else { return nothing(page, query: query) }
    var table = TextTable([
      .text("JOB"), .text("NAME", isCuttable: true), .text("FILE"), .text("OUTPUT", isCuttable: true), .number("SIZE"),
    ])
    for job in page.jobs {
      if job.outputs.isEmpty { table.add([job.id, job.name, "-", "(no output)", "-"]) }
      for output in job.outputs { table.add([job.id, job.name, output.fileId, output.name, ByteCount.format(output.size)]) }
    }
    let (end, overflow) = page.start.addingReportingOverflow(page.jobs.count)
    guard !overflow else { return table.render(width: width) }
    var line = "Showing \(page.start &+ 1)-\(end) of \(max(page.total, end))"
    if end < page.total { line += "; next: \(command(query, start: end))" }
    return table.render(width: width) + line + "\n"
  }

  private static func nothing(_ page: MediaHubPage, query: Command.JobsQuery) -> String {
    if page.total > 0 { return "Nothing from \(page.start) on: there are \(page.total); first: \(command(query, start: 0))\n" }
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
    return isPlain ? text : "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#) + "'"
  }
}
