import ControlModel
import FoundationEssentials

/// Takes a request's body in pieces and then gives the answer, for which it may wait. The connection's thread owns it.
protocol BodyReceiver: AnyObject {
  /// - Returns: false to cut the connection.
  func take(_ bytes: UnsafeRawBufferPointer) -> Bool
  func finish() throws(BucketError) -> BucketReply
  /// Why the body is of no use; nil: it is.
  var refusal: BucketError? { get }
}

/// A request without a body, or one that is refused: bytes that come all the same are dropped.
final class NoBody: BodyReceiver {
  /// So much is read and dropped so that the client, which may hear nothing before it has sent its body, gets to hear
  /// why; beyond that the connection is cut.
  static let limit = 16 << 20

  let refusal: BucketError?
  private var received = 0
  private let answer: () throws(BucketError) -> BucketReply

  init(_ answer: @escaping () throws(BucketError) -> BucketReply) {
    refusal = nil
    self.answer = answer
  }

  init(refusing error: BucketError) {
    refusal = error
    answer = { () throws(BucketError) in throw error }
  }

  func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    received += bytes.count
    return received <= Self.limit
  }

  func finish() throws(BucketError) -> BucketReply { try answer() }
}

/// A body of JSON, which is small.
final class JSONBody<Value: Decodable>: BodyReceiver {
  /// A larger body is answered with 413.
  private static var limit: Int { 1 << 20 }

  private(set) var refusal: BucketError?
  private var bytes: [UInt8] = []
  private var dropped = 0
  private let answer: (Value, [UInt8]) throws(BucketError) -> BucketReply

  /// - Parameter answer: gets the value, and the bytes that it was read from.
  init(
    _ request: BucketRequest, _ type: Value.Type,
    _ answer: @escaping (_ value: Value, _ bytes: [UInt8]) throws(BucketError) -> BucketReply
  ) {
    self.answer = answer
    let name = request.contentType
    if name != "application/json" && !(name.hasPrefix("application/") && name.hasSuffix("+json")) {
      refusal = BucketError(415, "Expected request with `Content-Type: application/json`")
    } else if request.announcedLength > Self.limit {
      refusal = Self.tooLarge
    }
  }

  private static var tooLarge: BucketError { BucketError(413, "The body of JSON is larger than 1 MiB") }

  func take(_ piece: UnsafeRawBufferPointer) -> Bool {
    if bytes.count + piece.count > Self.limit, refusal == nil { refusal = Self.tooLarge }
    if refusal == nil { bytes.append(contentsOf: piece) } else { dropped += piece.count }
    return dropped <= NoBody.limit
  }

  func finish() throws(BucketError) -> BucketReply {
    if let refusal { throw refusal }
    let value: Value
    do {
      value = try ControlJSON.decode(Value.self, from: bytes)
    } catch let error as DecodingError {
      throw Self.refusal(of: error)
    } catch {
      throw .invalid("Failed to parse the request body as JSON")
    }
    return try answer(value, bytes)
  }

  /// 422 for JSON that has not the right fields.
  private static func refusal(of error: DecodingError) -> BucketError {
    func place(_ context: DecodingError.Context) -> String {
      context.codingPath.map(\.stringValue).joined(separator: ".")
    }
    switch error {
    case .keyNotFound(let key, _): return BucketError(422, "Wrong request body: missing field `\(key.stringValue)`")
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      return BucketError(422, "Wrong request body: `\(place(context))` has a value of another type")
    case .dataCorrupted(let context) where !context.codingPath.isEmpty:
      return BucketError(422, "Wrong request body: `\(place(context))`: \(context.debugDescription)")
    default: return .invalid("Failed to parse the request body as JSON")
    }
  }
}
