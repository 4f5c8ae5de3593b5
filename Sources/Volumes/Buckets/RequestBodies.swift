/// The JSON bodies of requests, with the names and defaults of the API. They are plain values.
enum RequestBodies {
  /// A UUID; another text is a wrong field.
  struct ID: Decodable {
    var text: String
    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      guard let id = BucketID.parse(try container.decode(String.self)) else {
        throw DecodingError.dataCorruptedError(in: container, debugDescription: "it is no UUID")
      }
      text = id
    }
  }

  /// A height, a hash, or a link.
  struct At: Decodable {
    var text: String
    private struct Link: Decodable { var hash: String }
    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let number = try? container.decode(Int64.self) {
        text = String(number)
      } else if let hash = try? container.decode(String.self) {
        text = hash
      } else {
        text = try container.decode(Link.self).hash
      }
    }
  }

  struct Create: Decodable { var name: String }

  struct List: Decodable {
    var prefix: String?
    var limit: Int64?
  }

  struct Bucket: Decodable { var bucket_id: ID }

  struct Place: Decodable {
    var bucket_id: ID
    var path: String
    var at: At?
  }

  struct Listing: Decodable {
    var bucket_id: ID
    var path: String?
    var deep: Bool?
    var at: At?
  }

  struct Deletion: Decodable {
    var bucket_id: ID
    var path: String
    var recursive: Bool?
  }

  struct Move: Decodable {
    var bucket_id: ID
    var source_path: String
    var dest_path: String
    var overwrite: Bool?
  }

  struct Rename: Decodable {
    var bucket_id: ID
    var old_path: String
    var new_path: String
  }

  struct History: Decodable {
    var bucket_id: ID
    var page: Int64?
    var page_size: Int64?
  }

  struct Export: Decodable {
    var bucket_id: ID
    var target_dir: String
  }
}
