import ControlModel
import Core
import TerminalUI

/// The screen of a `JobsPicker`. These are pure functions of the value.
extension JobsPicker {
  /// Lines that are not the list's: one above, two below.
  static let furniture = 3

  var frame: FullScreen.Frame {
    var frame: FullScreen.Frame
    switch stage {
    case .jobs: frame = jobsFrame
    case .outputs(let job): frame = outputsFrame(job)
    case .recipient(let job, let output): frame = recipientFrame(job, output)
    }
    // A terminal of two lines has to do without the rest.
    frame.lines = Array(frame.lines.prefix(max(1, size.rows)))
    return frame
  }

  private var jobsFrame: FullScreen.Frame {
    let label = "Search: "
    let room = max(1, size.columns - label.count - 1)
    let head = StyledText(label, .bold) + StyledText(RecipientPrompt.tail(search.text, columns: room))
    var lines = [head]
    for index in list.shown { lines.append(row(index)) }
    let help = "↑ ↓ PgUp PgDn Home End  type to search  Enter choose  Esc leave"
    return FullScreen.Frame(lines: framed(lines, state: jobsState, help: help), cursor: (column: head.width, row: 0))
  }

  private func row(_ index: Int) -> StyledText {
    let isChosen = index == list.index
    let mark = StyledText(isChosen ? "> " : "  ", .accent)
    guard let job = job(at: index) else { return selected(mark + StyledText("…", .dim), isChosen) }
    let detail: StyledText =
      switch job.outputs.count {
      case 0: StyledText("no output", .dim)
      case 1: StyledText(ByteCount.format(job.outputs[0].size), .dim)
      case let count: StyledText("\(count) outputs", .accent)
      }
    return selected(mark + columns(StyledText(job.name), detail), isChosen)
  }

  private var jobsState: StyledText {
    if let note { return StyledText(note, noteIsFailure ? .bad : .warning) }
    let isWaiting = (due != nil && !isAnswered) || asked.contains { $0.search == search.text }
    let waiting = isWaiting ? StyledText("  asking MediaHub…", .dim) : StyledText()
    guard list.count > 0 else {
      if isWaiting { return waiting }
      return search.text.isEmpty
        ? StyledText("There are no finished jobs.") : StyledText("No finished job has “\(search.text)” in its name.")
    }
    let shown = list.shown
    return StyledText(
      "\(shown.lowerBound + 1)-\(shown.upperBound) of \(list.count)" + (isAnswered ? "" : " here"), .dim) + waiting
  }

  private func outputsFrame(_ job: MediaHubJob) -> FullScreen.Frame {
    var lines = [StyledText("Outputs of ", .bold) + StyledText(job.name)]
    for index in outputs.shown {
      let output = job.outputs[index]
      let isChosen = index == outputs.index
      let type = output.contentType.isEmpty ? "" : output.contentType + "  "
      let detail = StyledText(type, .dim) + StyledText(ByteCount.format(output.size), .dim)
      lines.append(
        selected(StyledText(isChosen ? "> " : "  ", .accent) + columns(StyledText(output.name), detail), isChosen))
    }
    return FullScreen.Frame(lines: framed(lines, state: StyledText(), help: "↑ ↓  Enter choose  Esc back"), cursor: nil)
  }

  private func recipientFrame(_ job: MediaHubJob, _ output: MediaHubOutput) -> FullScreen.Frame {
    let part = prompt.lines(columns: size.columns)
    let head = StyledText("For whom is ", .bold) + StyledText("\(output.name) (\(ByteCount.format(output.size)))?")
    let lines = framed([head] + part.lines, state: StyledText(), help: Self.promptHelp)
    return FullScreen.Frame(lines: lines, cursor: part.cursor.map { (column: $0.column, row: $0.row + 1) })
  }

  static let promptHelp = "type, or ↑ ↓  Enter stage  Esc back"

  // MARK: Pieces

  /// The last two lines at the bottom.
  private func framed(_ lines: [StyledText], state: StyledText, help: String) -> [StyledText] {
    let room = max(0, size.rows - 2)
    let above = Array(lines.prefix(room))
    return above + Array(repeating: StyledText(), count: room - above.count) + [state, StyledText(help, .dim)]
  }

  /// The name at the left, as much of it as there is room for, the rest at the right; behind the mark's two columns.
  private func columns(_ name: StyledText, _ detail: StyledText) -> StyledText {
    let room = size.columns - 2 - detail.width - 2
    guard room >= 8 else { return name }
    return name.fitted(to: room) + StyledText("  ") + detail
  }

  private func selected(_ line: StyledText, _ isChosen: Bool) -> StyledText {
    guard isChosen else { return line }
    var line = line.fitted(to: size.columns)
    line.isSelected = true
    return line
  }
}
