/// Rows under headings, columns aligned by display width. It is a value of the verb that prints it.
package struct TextTable {
  package struct Column {
    var heading: String
    var isRightAligned = false
    /// May be cut where the table is wider than the terminal. Ids and paths may not: they are there to be copied.
    var isCuttable = false
    /// How a cell looks where there are colours.
    var paint: @Sendable (String) -> StyledText.Paint = { _ in .plain }

    private init(_ heading: String, isRightAligned: Bool = false, isCuttable: Bool = false) {
      (self.heading, self.isRightAligned, self.isCuttable) = (heading, isRightAligned, isCuttable)
    }

    /// A column of text.
    /// - Parameter paint: how a cell looks where there are colours.
    package init(heading: String, paint: @escaping @Sendable (String) -> StyledText.Paint) {
      (self.heading, self.paint) = (heading, paint)
    }

    package static func text(_ heading: String, isCuttable: Bool = false) -> Column {
      Column(heading, isCuttable: isCuttable)
    }
    package static func number(_ heading: String) -> Column { Column(heading, isRightAligned: true) }
  }

  /// A column is not cut below this.
  private static let narrowest = 8

  let columns: [Column]
  private var rows: [[String]] = []

  package init(_ columns: [Column]) { self.columns = columns }

  /// Adds a row with as many cells as there are columns; characters that would steer a terminal or break the line are
  /// replaced.
  package mutating func add(_ cells: [String]) { rows.append(cells.map(DisplayText.printable)) }

  /// - Parameter width: the terminal's columns; nil cuts nothing.
  package func render(width limit: Int?, hasColours: Bool = false) -> String {
    let lines = [columns.map(\.heading)] + rows
    var widths = columns.indices.map { column in lines.map { DisplayText.width($0[column]) }.max() ?? 0 }
    if let limit { shrink(&widths, to: limit) }
    var text = ""
    for (number, line) in lines.enumerated() {
      var rendered = StyledText()
      for (index, column) in columns.enumerated() {
        let cell = column.isCuttable ? DisplayText.cut(line[index], to: widths[index]) : line[index]
        let padding = String(repeating: " ", count: max(0, widths[index] - DisplayText.width(cell)))
        let paint = number == 0 ? .dim : column.paint(line[index])
        if index > 0 { rendered.add("  ") }
        if column.isRightAligned { rendered.add(padding) }
        rendered.add(cell, paint)
        if !column.isRightAligned { rendered.add(padding) }
      }
      var shown = rendered.rendered(hasColours: hasColours)
      while shown.last == " " { shown.removeLast() }
      text += shown + "\n"
    }
    return text
  }

  /// Takes columns away from the widest that may be cut, until the table fits or none can give more.
  private func shrink(_ widths: inout [Int], to limit: Int) {
    var excess = widths.reduce(0, +) + 2 * (widths.count - 1) - limit
    while excess > 0 {
      let candidates = columns.indices.filter {
        columns[$0].isCuttable && widths[$0] > max(Self.narrowest, columns[$0].heading.count)
      }
      guard let widest = candidates.max(by: { widths[$0] < widths[$1] }) else { return }
      widths[widest] -= 1
      excess -= 1
    }
  }
}
