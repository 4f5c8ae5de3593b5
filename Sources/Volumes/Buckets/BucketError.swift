import Core
import Glibc

/// A request's failure as the bucket server tells it: a status of HTTP and one sentence for people, which is the body
/// of the answer. It is a plain value.
package struct BucketError: Error, Sendable, Equatable {
  package var status: Int
  package var sentence: String
  /// The file was changed between the look at it and the commit: the caller looks again. No client sees it.
  var isOvertaken = false

  init(_ status: Int, _ sentence: String) {
    self.status = status
    self.sentence = sentence
  }

  static func invalid(_ sentence: String) -> BucketError { BucketError(400, sentence) }
  static func notFound(_ path: BucketPath) -> BucketError { BucketError(404, "Path not found: \(path.shown)") }
  static func conflict(_ sentence: String) -> BucketError { BucketError(409, sentence) }
  static let preconditionFailed = BucketError(
    412, "Precondition failed: the file is not the version that the request names")
  static let stopping = BucketError(503, "The control plane is stopping")
  static let full = BucketError(507, "The disk of the buckets is full; nothing was stored")

  static var overtaken: BucketError {
    var error = BucketError(503, "The file is being changed by others all the time; try again")
    error.isOvertaken = true
    return error
  }

  /// The failure of a call on a file of the bucket store.
  static func disk(_ what: String, _ error: Errno) -> BucketError {
    switch error.code {
    case ENOSPC, EDQUOT: full
    case EFBIG: BucketError(507, "The file is larger than the disk of the buckets allows")
    case EMFILE, ENFILE, ENOMEM: BucketError(503, "Too many files are open; try again (\(what): \(error))")
    default: BucketError(500, "The bucket store failed (\(what): \(error))")
    }
  }

  init(_ error: DatabaseError) {
    if error.isFull {
      self = .full
    } else if error.isBusy {
      self.init(503, "The bucket database is in use by another program; try again")
    } else if error.isShortage {
      self.init(503, "Too many files are open or memory is lacking; try again (\(error.message))")
    } else {
      self.init(500, "The bucket database failed: \(error.message)")
    }
  }
}
