import ControlModel
import Core
import TerminalUI

/// The screen of a `Watch`. These are pure functions of the value and the time.
extension Watch {
  /// - Parameter now: for what counts seconds.
  func frame(at now: Moment) -> FullScreen.Frame {
    let head = head(at: now)
    let foot = notices.map(line) + [StyledText("↑ ↓ scroll  q leave", .dim)]
    let room = max(0, size.rows - head.count - foot.count)
    var body = body(rows: room)
    body += Array(repeating: StyledText(), count: room - body.count)
    return FullScreen.Frame(lines: Array((head + body + foot).prefix(max(1, size.rows))), cursor: nil)
  }

  // MARK: Head

  private func head(at now: Moment) -> [StyledText] {
    var first = StyledText("FuseStream  ", .bold)
    guard let status else {
      return [
        first + StyledText(lost?.message ?? "asking the control plane…", lost == nil ? .dim : .bad), StyledText(),
      ]
    }
    if let lost {
      first.add(
        lost.kind == .noControlPlane ? "the control plane has ended; waiting for the next one" : lost.message, .bad)
    } else {
      first.add(
        status.shim.state.rawValue + (status.shim.reason.map { ": \($0)" } ?? ""), StatusVerb.paint(status.shim.state))
      let seconds = status.uptimeSeconds + Int(max(0, statusTime.map { (now - $0).seconds } ?? 0))
      first.add("  up \(StatusVerb.time(seconds))", .dim)
    }
    var second = StyledText("\(items.count) staged, \(status.openHandles) open")
    if let cache { second.add("  cache \(ByteCount.format(cache.bytes)) of \(ByteCount.format(cache.limit))", .dim) }
    if status.sleepInhibited == true { second.add("  sleep held off", .dim) }
    let fetched = items.reduce(0) { $0 + ($1.fetchRate ?? 0) }
    let read = items.reduce(0) { $0 + ($1.readRate ?? 0) }
    if fetched > 0 { second.add("  ↓ \(ByteCount.format(fetched))/s", .accent) }
    if read > 0 { second.add("  ↑ \(ByteCount.format(read))/s", .good) }
    return [first, second, StyledText(status.mount, .dim), StyledText()]
  }

  private func line(_ notice: Notice) -> StyledText {
    let paint: StyledText.Paint =
      switch notice.level {
      case .info: .plain
      case .warning: .warning
      case .error: .bad
      }
    return StyledText(notice.message, paint)
  }

  // MARK: Items

  private func body(rows: Int) -> [StyledText] {
    guard rows > 0 else { return [] }
    guard !items.isEmpty else {
      return status == nil
        ? [] : [StyledText("Nothing is staged; `fsmvp jobs` lists files, `fsmvp ui` shows them.", .dim)]
    }
    let items = Array(ordered.dropFirst(skipped))
    var lines: [StyledText] = []
    for (index, item) in items.enumerated() {
      let block = block(item)
      let rest = items.count - index
      // The last line may be needed to say how many more there are.
      guard lines.count + block.count + (rest > 1 ? 1 : 0) <= rows else {
        lines = Array(lines.prefix(rows - 1)) + [StyledText("… and \(rest) more", .dim)]
        break
      }
      lines += block
    }
    return lines
  }

  /// One line for an item at rest, more for one that moves.
  private func block(_ item: StagedItem) -> [StyledText] {
    let paint: StyledText.Paint =
      switch item.state {
      case .failed: .bad
      case .open, .leaving: .good
      case .ready: item.isComing ? .accent : .dim
      }
    let words = StyledText(Self.words(item), paint)
    let name = StyledText(item.name, .bold) + StyledText("  for \(item.recipient)", .dim)
    guard item.openRef > 0 || item.isComing else {
      let here =
        item.bytesFetched == 0
        ? ByteCount.format(item.size) : "\(ByteCount.format(item.bytesFetched)) of \(ByteCount.format(item.size)) here"
      return [spread(name, words + StyledText("  " + here, .dim))]
    }
    let read = bar(
      "Read   ", item.bytesRead, item.size, rate: item.readRate, left: item.openRef > 0 ? item.etaSeconds : nil, .good)
    let fetched =
      item.windowed
      ? StyledText("  Fetched  streams through memory", .dim)
      : bar(
        "Fetched", item.bytesFetched, item.size, rate: item.fetchRate,
        left: item.openRef == 0 ? item.etaSeconds : nil, .accent)
    return [spread(name, words), fetched, read, StyledText()]
  }

  private func bar(
    _ label: String, _ done: Int64, _ total: Int64, rate: Int64?, left: Int64?, _ paint: StyledText.Paint
  ) -> StyledText {
    let columns = min(40, max(8, size.columns - 50))
    let percent = "\(ByteCount.percent(done, of: total))"
    var line = StyledText("  \(label)  ", .dim) + StyledText(ProgressBar.text(done, of: total, columns: columns), paint)
    line.add(" " + String(repeating: " ", count: max(0, 3 - percent.count)) + percent + " %")
    // The least needed parts are last, because a narrow terminal cuts the line's end.
    if let rate, rate > 0 { line.add("  \(ByteCount.format(rate))/s") }
    if let left { line.add("  \(StatusVerb.time(Int(clamping: left))) left") }
    line.add("  \(ByteCount.format(done)) of \(ByteCount.format(total))", .dim)
    return line
  }

  /// One at the left, one at the right; the left one gives way.
  private func spread(_ left: StyledText, _ right: StyledText) -> StyledText {
    let room = size.columns - right.width - 2
    guard room >= 12 else { return left + StyledText("  ") + right }
    return left.fitted(to: room) + StyledText("  ") + right
  }
}
