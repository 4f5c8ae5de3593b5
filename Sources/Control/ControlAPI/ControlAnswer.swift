import ControlModel
import ControlRoutes
import Core

/// A status, headers and a body: what goes back for a request. It is a value: the server makes it, and the request's
/// `Exchange` sends it.
struct ControlAnswer {
  var status: Int
  var body: [UInt8]
  /// In place of `body`: one that is made while it is sent.
  var stream: (any BodySource)?
  var headers: [String: String]

  /// JSON, unless said otherwise.
  init(status: Int, body: [UInt8], type: String = "application/json", caching: String = "no-store") {
    self.status = status
    self.body = body
    headers = ["Content-Type": type, "Cache-Control": caching]
  }

  init(status: Int, stream: any BodySource, type: String = "application/json") {
    self.init(status: status, body: [], type: type)
    self.stream = stream
  }

  /// - Parameter methods: for the header `Allow` of a `method_not_allowed`.
  init(_ error: ControlError, allowing methods: [String] = []) {
    self.init(status: error.code.status, body: (try? ControlJSON.encode(ControlErrorBody(error))) ?? [])
    // RFC 9110 wants this header with every 401. Browsers do not ask for a password for this scheme.
    if error.code == .unauthorized { headers["WWW-Authenticate"] = "Bearer realm=\"fsmvp\"" }
    if error.code == .misdirected { headers["Connection"] = "close" }
    if error.code == .methodNotAllowed { headers["Allow"] = methods.joined(separator: ", ") }
  }

  @DispatchLoop
  init(_ answer: RouteAnswer) {
    switch answer.body {
    case .json(let bytes): self.init(status: answer.status, body: bytes)
    case .long(let write): self.init(status: answer.status, stream: ValueBody(write))
    case .list(let source): self.init(status: answer.status, stream: ListBody(source))
    }
    headers.merge(answer.headers) { _, given in given }
  }

  /// For small values: their JSON is written at once.
  init(_ value: some Encodable, status: Int = 200) {
    self.init(status: status, body: (try? ControlJSON.encode(value)) ?? [])
  }
}
