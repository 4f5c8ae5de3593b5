import ControlModel
import Core
import Glibc
import Staging
import Telemetry

/// From a route and a body to an answer: asks the operations, turns what they say or throw into JSON. Knows no HTTP library.
@DispatchLoop
struct ControlDispatch {
  let operations: any ControlOperations

  func answer(_ route: Route, body: [UInt8]) async -> ControlAnswer {
    do {
      return try await perform(route, body: body)
    } catch {
      let failure = ControlError(thrown: error, missing: route.missing)
      Log.info("api.failed", ["route": "\(route.name)", "code": failure.code.rawValue, "error": "\(error)"])
      return ControlAnswer(failure)
    }
  }

  private func perform(_ route: Route, body: [UInt8]) async throws -> ControlAnswer {
    switch route {
    case .status: return try answer(try await operations.status())
    case .events: throw ControlError(.failed, "events are a stream and no answer")
    case .jobs(let search, let start, let limit):
      return try answer(try await operations.jobs(search: search, start: start, limit: limit))
    case .staged: return try answer(try await operations.staged())
    case .stage:
      let request = try decode(StageRequest.self, from: body, shape: #"{"file": ID, "recipient": TAG, "warm": true or false}"#)
      guard !request.file.isEmpty else { throw ControlError(.invalid, "the file's id is empty") }
      guard !request.recipient.isEmpty else { throw ControlError(.invalid, "the recipient is empty: say who the file is for") }
      let item = try await operations.stage(request.file, recipient: request.recipient, isWarm: request.warm ?? false)
      return try answer(item, status: 201)
    case .pin(let idOrPath):
      let request = try decode(PinRequest.self, from: body, shape: #"{"pinned": true or false}"#)
      return try answer(try await operations.setPinned(idOrPath, request.pinned))
    case .unstage(let idOrPath): return try answer(try await operations.unstage(idOrPath))
    case .unstageAll: return try answer(try await operations.unstageAll())
    case .cache: return try answer(try await operations.cache())
    case .clearCache: return try answer(try await operations.clearCache())
    case .trace: return try answer(try await operations.trace())
    case .restartShim: return try answer(try await operations.restartShim())
    case .killShim: return try answer(try await operations.killShim())
    case .reload: return try answer(try await operations.reload(), status: 202)
    case .stop:
      let request = body.isEmpty ? nil : try decode(StopRequest.self, from: body, shape: #"{"forget": true or false}"#)
      try await operations.stop(forget: request?.forget ?? false)
      return try answer(StopReply(pid: Int(getpid())), status: 202)
    }
  }

  private func answer(_ value: some Encodable, status: Int = 200) throws -> ControlAnswer {
    ControlAnswer(status: status, body: try ControlJSON.encode(value))
  }

  private func decode<Value: Decodable>(_ type: Value.Type, from body: [UInt8], shape: String) throws(ControlError) -> Value {
    do {
      return try ControlJSON.decode(type, from: body)
    } catch {
      throw ControlError(.invalid, "the request's body has to be JSON like \(shape)")
    }
  }
}
