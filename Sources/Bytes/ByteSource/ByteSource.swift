import Core

/// A source of the bytes of one object of known length, whatever they are reached by: all that fetching knows of an
/// origin (docs/adr/0036).
///
/// A source is asked for access first, and ranges are fetched by an access. `HTTPSource` mints links for that; a source
/// that is always open is its own access. A volume hands it over with the order of a store, and the file's
/// `FetchEngine` holds it; both protocols are used on the transfer loop, and an implementation alone knows the network
/// or disk behind it.
package protocol ByteSource: Sendable {
  /// The object's length in bytes.
  var size: Int64 { get }
  /// The limits of what the source may hand over, and by which way.
  var policy: SourcePolicy { get }
  /// The state of an engine's access before it asked for one: a value of its own for each engine.
  /// - Parameters:
  ///   - leastPause: between two tries of an access that says it is about to end.
  ///   - longestPause: the same, at most.
  func accessState(leastPause: Duration, longestPause: Duration) -> any AccessState
  /// Access to the bytes.
  /// - Parameters:
  ///   - stale: the generation of an access that was refused or is about to end: another than that one is given. It is
  ///     got once for all callers at the same time, and a caller whose access was replaced already has the one that
  ///     replaced it. If that fails nothing has changed: an access that still works may be used on.
  ///   - isUrgent: a reader waits for it, so that it goes before those that no reader waits for.
  @TransferLoop func access(replacing stale: Int?, isUrgent: Bool) async throws(SourceFailure) -> any SourceAccess
  /// A reader waits now for the access that is being got.
  @TransferLoop func hurry()
}

/// A permission to fetch ranges of a source's object for a while.
package protocol SourceAccess: Sendable {
  /// Counts up with each new access to the same object, from 1, so that a failure says which one failed.
  var generation: Int { get }
  /// When it ends, as far as is known: a hint, by our clock; it may end before. nil: not known.
  var expires: Moment? { get }
  /// Begins to fetch a range; calls to the sink come later on the transfer loop, never before this returns. The sink is
  /// kept until its end.
  @TransferLoop func fetch(_ request: SourceRequest, into sink: any ByteSink) -> any RangeInFlight
}

extension ByteSource {
  package var policy: SourcePolicy { SourcePolicy() }
  @TransferLoop package func hurry() {}
}

/// A source that is always open needs no access but itself.
extension ByteSource where Self: SourceAccess {
  package var generation: Int { 1 }
  package var expires: Moment? { nil }
  package func accessState(leastPause: Duration, longestPause: Duration) -> any AccessState { AlwaysOpen() }
  @TransferLoop package func access(replacing stale: Int?, isUrgent: Bool) async throws(SourceFailure)
    -> any SourceAccess
  { self }
}
