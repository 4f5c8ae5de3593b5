import ControlModel

/// A status, headers and a body: what goes back for a request.
struct ControlAnswer: Sendable, Equatable {
  var status: Int
  var body: [UInt8]
  var headers: [String: String]

  /// JSON, unless said otherwise.
  init(status: Int, body: [UInt8], type: String = "application/json", caching: String = "no-store") {
    self.status = status
    self.body = body
    headers = ["Content-Type": type, "Cache-Control": caching]
  }

  init(_ error: ControlError) {
    self.init(status: error.code.status, body: (try? ControlJSON.encode(ControlErrorBody(error))) ?? [])
    // What a 401 has to say; no browser asks for a password then.
    if error.code == .unauthorized { headers["WWW-Authenticate"] = "Bearer realm=\"fsmvp\"" }
  }

  init(_ value: some Encodable, status: Int = 200) {
    self.init(status: status, body: (try? ControlJSON.encode(value)) ?? [])
  }
}
