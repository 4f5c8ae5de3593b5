import Core

/// Requests for buckets, which are reached at the same socket; their errors are plain text.
extension SocketClient {
  /// - Parameter path: below `/api/v0/bucket`; empty, or with a slash in front.
  /// - Returns: the JSON of a successful answer.
  package func bucket(_ path: String, body: [UInt8], tick: (Moment) -> Void = { _ in }) throws(ClientFailure) -> [UInt8]
  {
    let outcome = try answer("POST", target: "/api/v0/bucket\(path)", body: body, tick: tick)
    guard case .answered(let status, let answer, _) = outcome else { throw failure(outcome) }
    guard !(200..<300).contains(status) else { return answer }
    let sentence = String(decoding: answer.prefix(4096), as: UTF8.self)
    guard !sentence.isEmpty, !sentence.hasPrefix("{") else { throw failure(outcome) }
    throw ClientFailure(.refused(code: status == 400 ? "invalid" : status == 404 ? "no_such_item" : "failed"), sentence)
  }
}
