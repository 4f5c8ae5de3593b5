/// The buckets as the bucket API lists them: the answer of `POST /api/v0/bucket/list`. It is a plain value.
package struct BucketList: Sendable, Equatable, Codable {
  package struct Bucket: Sendable, Equatable, Codable {
    /// A UUID.
    package var id: String
    package var name: String
    /// The number of the version at its head.
    package var height: Int64
    /// RFC 3339.
    package var created: String

    enum CodingKeys: String, CodingKey {
      case id = "bucket_id"
      case name, height
      case created = "created_at"
    }
  }

  /// The newest first.
  package var buckets: [Bucket]
}

/// A bucket that was made: the answer of `POST /api/v0/bucket`, and the order for it.
package struct BucketMade: Sendable, Equatable, Codable {
  package struct Order: Sendable, Equatable, Codable {
    package var name: String
    package init(name: String) { self.name = name }
  }

  package var id: String
  package var name: String
  package var created: String

  enum CodingKeys: String, CodingKey {
    case id = "bucket_id"
    case name
    case created = "created_at"
  }
}
