import ControlModel

/// The token answer.
struct TokenRecord: Decodable {
  var token: String?
  /// As the service spells it: a number or a text.
  var lifetime: Int64?

  private enum Key: String, CodingKey { case access_token, expires_in }
  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    token = fields.text(.access_token)
    lifetime = fields.number(.expires_in)
  }
}

/// A file, or only its stub: `{id, href}`.
struct FileRecord: Decodable {
  var id: String
  var name: String
  /// Nil: the service does not say.
  var size: Int64?
  var contentType: String

  private enum Key: String, CodingKey { case id, name, size, mime_type }
  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    id = fields.text(.id) ?? ""
    name = fields.text(.name) ?? ""
    size = fields.number(.size)
    // Some are like capabilities: `video/quicktime, variant=(string)iso`.
    let type = (fields.text(.mime_type) ?? "").prefix { $0 != "," }
    contentType = String(type.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
  }

  /// Size or name are missing: the file has to be asked for.
  var isStub: Bool { size == nil || name.isEmpty }

  /// Nil if it cannot be staged: no id, or no size that a file can have.
  var output: MediaHubOutput? {
    guard !id.isEmpty, let size, size >= 0 else { return nil }
    return MediaHubOutput(fileId: id, name: name.isEmpty ? id : name, size: size, contentType: contentType)
  }
}

/// `{"file": {...}}`
struct FileAnswer: Decodable {
  var file: FileRecord?

  private enum Key: String, CodingKey { case file }
  init(from decoder: any Decoder) throws { file = try decoder.container(keyedBy: Key.self).record(.file) }
}

struct JobRecord: Decodable {
  var id: String
  var name: String
  var outputs: [FileRecord]

  private enum Key: String, CodingKey { case id, input, outputs }
  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    id = fields.text(.id) ?? ""
    let input: Input? = fields.record(.input)
    name = input?.name ?? id
    let outputs: [FileAnswer] = fields.list(.outputs)
    self.outputs = outputs.compactMap(\.file)
  }

  private struct Input: Decodable {
    var name: String?

    private enum Key: String, CodingKey { case file, input_name }
    init(from decoder: any Decoder) throws {
      let fields = try decoder.container(keyedBy: Key.self)
      let file: FileRecord? = fields.record(.file)
      if let title = file?.name, !title.isEmpty {
        name = title
      } else {
        name = fields.text(.input_name).flatMap(Self.lastComponent)
      }
    }

    /// Of a path or a URL; the query of a URL may be a signature.
    private static func lastComponent(_ text: String) -> String? {
      let path = text.contains("://") ? text.prefix { $0 != "?" && $0 != "#" } : text[...]
      return path.split(separator: "/").last.map(String.init)
    }
  }
}

/// `{"job": {...}}`
struct JobAnswer: Decodable {
  var job: JobRecord?

  private enum Key: String, CodingKey { case job }
  init(from decoder: any Decoder) throws { job = try decoder.container(keyedBy: Key.self).record(.job) }
}

struct JobsAnswer: Decodable {
  var jobs: [JobRecord]
  var total: Int64

  private enum Key: String, CodingKey { case jobs, total }
  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    jobs = fields.list(.jobs)
    total = max(0, fields.number(.total) ?? 0)
  }
}
