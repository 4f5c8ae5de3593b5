import Core

/// A small request that may be sent a second time, on a new connection, while the first one has no answer: after a
/// change of the network or a sleep of the machine the connection that it went by is dead as often as not, and says so
/// only after its time-out. The first answer counts. `HTTPClient` owns it until it has ended, and the race owns its one
/// or two `SmallExchange`s, on the transfer loop.
@TransferLoop
final class SmallRace {
  private let request: HTTPRequest
  private let client: HTTPClient
  private var running: [SmallExchange] = []
  private var isHedged = false
  private var done: ((Result<HTTPResponse, TransferError>) -> Void)?
  private var isEnded = false

  init(_ request: HTTPRequest, client: HTTPClient) {
    self.request = request
    self.client = client
  }

  /// - Parameter done: called exactly once, maybe before this returns.
  func begin(_ done: @escaping (Result<HTTPResponse, TransferError>) -> Void) {
    guard !isEnded else { return done(.failure(.cancelled)) }
    self.done = done
    ask()
  }

  func cancel() { end(.failure(.cancelled)) }

  /// Asks once more, once; all requests of a service may be sent twice.
  func hedge() {
    guard !isEnded, !isHedged, done != nil else { return }
    isHedged = true
    ask()
  }

  private func ask() {
    let exchange = SmallExchange(request, client: client)
    running.append(exchange)
    exchange.begin { [self] in ended(exchange, $0) }
  }

  private func ended(_ exchange: SmallExchange, _ result: Result<HTTPResponse, TransferError>) {
    guard !isEnded else { return }
    running.removeAll { $0 === exchange }
    // The other one may have an answer yet.
    if case .failure = result, !running.isEmpty { return }
    end(result)
  }

  private func end(_ result: Result<HTTPResponse, TransferError>) {
    guard !isEnded else { return }
    isEnded = true
    let others = running
    running = []
    for exchange in others { exchange.cancel() }
    let done = done
    self.done = nil
    done?(result)
  }
}
