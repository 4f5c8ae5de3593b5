import Core
import OpenFiles
import Volume

/// The start after a death. It runs on the dispatch loop, in steps: items and bytes are counted open before anything
/// goes.
extension StagedVolume {
  /// Only the first call counts.
  package func inherit(_ inheritance: Inheritance) async {
    guard !hasBegun else { return files.refuse(inheritance, of: Self.id) }
    await begin(with: inheritance, isNewMount: false)
  }

  /// A start with nothing open and leased, on a new mount; does nothing where `inherit` was called.
  package func begin() async {
    guard !hasBegun else { return }
    await begin(with: Inheritance(), isNewMount: true)
  }

  private static let handlesAStep = 128
  private static let itemsAStep = 64

  private func begin(with inheritance: Inheritance, isNewMount: Bool) async {
    hasBegun = true
    let handles = inheritance.handles
    var index = handles.startIndex
    while index != handles.endIndex {
      let end = handles.index(index, offsetBy: Self.handlesAStep, limitedBy: handles.endIndex) ?? handles.endIndex
      change { items, _, files in items.count(handles[index..<end], &files) }
      index = end
      await files.pause()
    }
    var isMore = true
    while isMore {
      let (actions, more) = change { items, time, files in items.begin(at: time, limit: Self.itemsAStep, &files) }
      act(actions)
      isMore = more
      if more { await files.pause() }
    }
    await files.takeUp(inheritance, of: Self.id, isNewMount: isNewMount)
  }
}
