// MediaHub's answers as its JSON has them, a record for each kind. They are values: `ServiceConnection` and
// `MediaHubClient` decode them, take out what they need and keep none. They touch nothing and wait for nothing. A field
// that is missing, or of another type than it should be, does not fail a whole answer.

import ControlModel

/// The answer to a request for a token.
struct TokenRecord: Decodable {
  var token: String?
  /// The token's life in seconds, which the service writes as a number or a text.
  var lifetime: Int64?

  private enum Key: String, CodingKey { case access_token, expires_in }
  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    // With a blank around it, it is what was meant; with one inside, or as a number, it is none.
    token = (try? fields.decode(String.self, forKey: .access_token)).map { text in
      String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }
    lifetime = fields.number(.expires_in)
  }
}

/// OAuth's answer to credentials it refuses (RFC 6749, section 5.2).
struct RefusalRecord: Decodable {
  var error: String?

  private enum Key: String, CodingKey { case error }
  init(from decoder: any Decoder) throws { error = try decoder.container(keyedBy: Key.self).text(.error) }
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
    let outputs: (records: [FileAnswer], count: Int)? = fields.elements(.outputs)
    self.outputs = outputs?.records.compactMap(\.file) ?? []
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

    /// The last component of a path or a URL, without a URL's query, which may be a signature.
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
  /// Elements of the list, unreadable ones included.
  var rows: Int
  /// False: the answer holds no list at all.
  var hasList: Bool
  /// 0 if the service does not say.
  var total: Int64

  private enum Key: String, CodingKey { case jobs, total }
  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    let list: (records: [JobRecord], count: Int)? = fields.elements(.jobs)
    // A job without an id can be neither shown nor asked for.
    jobs = list?.records.filter { !$0.id.isEmpty } ?? []
    rows = list?.count ?? 0
    hasList = list != nil
    let count = fields.number(.total)
    // Unset keys are left out: an answer with neither may be of another kind.
    total = hasList || count != nil ? max(0, count ?? 0) : 1
  }
}
