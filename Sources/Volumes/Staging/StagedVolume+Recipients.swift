/// The recipients that files were staged for last, on the dispatch loop; the journal keeps them too.
extension StagedVolume {
  /// The recipients of earlier staging, the last one first; at most 20, and none twice.
  package func recipients() -> [String] { recentRecipients }

  /// Compared by bytes, as the service may: "é" of one code point is not that of two.
  func remember(recipient: String) {
    let bytes = Array(recipient.utf8)
    guard recentRecipients.first.map({ Array($0.utf8) }) != bytes else { return }
    recentRecipients.removeAll { Array($0.utf8) == bytes }
    recentRecipients.insert(recipient, at: 0)
    if recentRecipients.count > Journal.recipients { recentRecipients.removeLast() }
    journal.note([.recipient(recipient)])
  }
}
