/// The limits of a source: it says what may be handed over and by which way, beyond what is always allowed. The default
/// is the strictest. It is a value of the source.
package struct SourcePolicy: Sendable, Equatable {
  /// The object may itself be a web page, JSON or XML, which otherwise come in place of a file.
  package var mayBeText: Bool
  /// Hosts that may be reached by plain http because the configuration names them, as they stand in a URL, in lower
  /// case. This machine always may.
  package var plainHosts: Set<String>

  package init(mayBeText: Bool = false, plainHosts: Set<String> = []) {
    self.mayBeText = mayBeText
    self.plainHosts = Set(plainHosts.map { $0.lowercased() })
  }
}
