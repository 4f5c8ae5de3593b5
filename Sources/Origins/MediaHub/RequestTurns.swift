import Core

/// A request's place in the line of `RequestTurns`.
@TransferLoop
final class RequestTurn {
  /// A person or a reader waits for it. May be set while it is in the line.
  var isUrgent: Bool
  init(isUrgent: Bool) { self.isUrgent = isUrgent }
}

/// Keeps the requests under way at the service to a few: three hundred pinned files ask for three hundred links in one
/// instant. The others wait in the order they came, urgent ones first. `ServiceConnection` owns it, on the transfer
/// loop.
@TransferLoop
final class RequestTurns {
  private let limit: Int
  private var taken = 0
  private var waiting: [(turn: RequestTurn, go: CheckedContinuation<Void, Never>)] = []

  nonisolated init(limit: Int) { self.limit = limit }

  /// Returns when it is this one's turn; `leave` ends it.
  func take(_ turn: RequestTurn) async {
    guard taken >= limit else {
      taken += 1
      return
    }
    // The place is handed on by `leave`, so that no newcomer takes it meanwhile.
    await withCheckedContinuation { waiting.append((turn, $0)) }
  }

  func leave() {
    guard !waiting.isEmpty else {
      taken -= 1
      return
    }
    let next = waiting.firstIndex { $0.turn.isUrgent } ?? 0
    waiting.remove(at: next).go.resume()
  }
}
