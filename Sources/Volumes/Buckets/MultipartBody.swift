import CHTTPD
import Core

/// A body of `multipart/form-data`: fields of text, and files that go into the store while they come. libmicrohttpd
/// takes it apart. The connection's thread owns it.
final class MultipartBody: BodyReceiver {
  struct Form {
    /// By name.
    var fields: [String: String] = [:]
    var files: [(name: String, result: Result<BlobFile, BucketError>)] = []
  }

  /// Files of a body at most.
  private static let mostFiles = 1000
  private static let mostFields = 32
  private static let longestField = 16 << 10

  private(set) var refusal: BucketError?
  private var form = Form()
  private var fields: [String: [UInt8]] = [:]
  private let fileNames: Set<String>
  private let store: BucketStore
  private let limit: Int64
  private var received: Int64 = 0
  private var processor: OpaquePointer?
  private let answer: (Form) throws(BucketError) -> BucketReply

  /// - Parameters:
  ///   - connection: libmicrohttpd finds the boundary in its headers.
  ///   - fileNames: of the parts that are files; parts of other names with a file name are ignored.
  ///   - limit: of the whole body, in bytes; 0: none.
  init(
    _ request: BucketRequest, connection: OpaquePointer?, fileNames: Set<String>, store: BucketStore, limit: Int64,
    _ answer: @escaping (Form) throws(BucketError) -> BucketReply
  ) throws(BucketError) {
    self.fileNames = fileNames
    self.store = store
    self.limit = limit
    self.answer = answer
    guard request.contentType == "multipart/form-data" else {
      throw BucketError(415, "Expected request with `Content-Type: multipart/form-data`")
    }
    if limit > 0, request.announcedLength > limit { throw UploadBody.tooLarge(limit) }
    if let room = store.blobs.room, request.announcedLength > room { throw .full }
    // The processor goes with the body.
    let context = Unmanaged.passUnretained(self).toOpaque()
    processor = MHD_create_post_processor(
      connection, 64 << 10,
      { @Sendable context, _, key, filename, _, _, data, offset, count in
        guard let context, let key else { return .NO }
        let body = Unmanaged<MultipartBody>.fromOpaque(context).takeUnretainedValue()
        body.take(
          String(cString: key), filename.map { String(validatingCString: $0) ?? "\u{0}" }, isFirst: offset == 0,
          UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : count))
        return .YES
      }, context)
    guard processor != nil else { throw .invalid("Bad request: the multipart body has no boundary") }
  }

  deinit { if let processor { MHD_destroy_post_processor(processor) } }

  func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
    received += Int64(bytes.count)
    if limit > 0, received > limit, refusal == nil {
      refusal = UploadBody.tooLarge(limit)
      form = Form()
    }
    guard refusal == nil else { return refusal?.status != 413 || received <= limit + Int64(NoBody.limit) }
    let text = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
    if MHD_post_process(processor, text, bytes.count) != .YES, refusal == nil {
      refusal = .invalid("Bad request: the body is no multipart form")
    }
    return true
  }

  /// A piece of a part.
  private func take(_ key: String, _ filename: String?, isFirst: Bool, _ bytes: UnsafeRawBufferPointer) {
    guard refusal == nil else { return }
    if fileNames.contains(key) {
      if isFirst { begin(filename ?? "unnamed") }
      guard case .success(let file)? = form.files.last?.result else { return }
      do throws(BucketError) {
        try file.write(bytes)
      } catch {
        // A disk that is full for this file is full for all.
        refusal = error
        form = Form()
      }
    } else if filename == nil {
      guard fields.count < Self.mostFields, (fields[key]?.count ?? 0) + bytes.count <= Self.longestField
      else {
        refusal = .invalid("Bad request: the form has too many or too long fields")
        return
      }
      fields[key] = (isFirst ? [] : fields[key] ?? []) + bytes
    }
  }

  private func begin(_ name: String) {
    guard form.files.count < Self.mostFiles else {
      refusal = .invalid("Bad request: more than \(Self.mostFiles) files in one form")
      form = Form()
      return
    }
    do throws(BucketError) {
      form.files.append((name, .success(try store.blobs.makeFile())))
    } catch {
      refusal = error
      form = Form()
    }
  }

  func finish() throws(BucketError) -> BucketReply {
    if let processor {
      let isWhole = MHD_destroy_post_processor(processor) == .YES
      self.processor = nil
      if !isWhole, refusal == nil { refusal = .invalid("Bad request: the multipart body has no end") }
    }
    if let refusal { throw refusal }
    for (name, bytes) in fields {
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw .invalid("Bad request: the field \(PrintableText.of(name)) is not UTF-8 text")
      }
      form.fields[name] = text
    }
    defer { form = Form() }
    return try answer(form)
  }
}
