import ControlModel

/// A status and a JSON body: what goes back for a request.
struct ControlAnswer: Sendable, Equatable {
  var status: Int
  var body: [UInt8]
  /// Of a 405: the methods that would do.
  var allow: [String] = []

  init(status: Int, body: [UInt8]) {
    self.status = status
    self.body = body
  }

  init(_ error: ControlError) {
    status = error.code.status
    body = (try? ControlJSON.encode(ControlErrorBody(error))) ?? []
  }
}
