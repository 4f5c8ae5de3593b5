import CLinux
import Core
import Glibc
import Telemetry

/// The buckets on the disk: `buckets.sqlite` with their names, and `blobs` with the bytes. It puts the parts together
/// and owns them; `BucketServer` owns the store. Every call waits for the disk: threads of the bucket server only.
final class BucketStore: Sendable {
  let blobs: BlobStore
  let followers = Followers()
  let readers: ReaderPool
  private let queue: CommitQueue
  /// A descriptor of the folder, whose flock is ours.
  private let lock: OwnedDescriptor

  /// Why there are no buckets: one sentence for a person.
  struct Failure: Error, Equatable {
    var sentence: String
  }

  /// - Parameters:
  ///   - folder: absolute; made if it is missing.
  ///   - keptVersions: of a bucket; 0: all.
  static func open(folder: String, keptVersions: Int) throws(Failure) -> BucketStore {
    guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
      throw Failure(sentence: "the folder \(folder) of the buckets cannot be made: \(Errno.current); see state_dir")
    }
    let descriptor = clinux_open(folder, O_RDONLY | O_DIRECTORY, 0)
    guard descriptor >= 0 else {
      throw Failure(sentence: "the folder \(folder) of the buckets cannot be opened: \(Errno.current); see state_dir")
    }
    let lock = OwnedDescriptor(descriptor)
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw Failure(
        sentence: "the buckets in \(folder) are another control plane's; stop it, or set state_dir to another folder")
    }
    let path = folder + "/buckets.sqlite"
    do throws(BucketError) {
      let database = try database(path, in: folder)
      let blobs = try BlobStore(folder: folder + "/blobs")
      return try BucketStore(database, blobs, path: path, lock: lock, folder: folder, keptVersions: keptVersions)
    } catch {
      throw Failure(sentence: error.sentence)
    }
  }

  private init(
    _ database: Database, _ blobs: BlobStore, path: String, lock: OwnedDescriptor, folder: String, keptVersions: Int
  ) throws(BucketError) {
    self.blobs = blobs
    self.lock = lock
    readers = ReaderPool(path: path)
    var isClean = false
    do throws(DatabaseError) {
      isClean = try database.first("SELECT value FROM facts WHERE name = 'is_clean'") { $0.integer(0) } == 1
      try database.run("UPDATE facts SET value = 0 WHERE name = 'is_clean'")
    } catch {
      throw BucketError(error)
    }
    // Blobs of a list that was put aside are all that is left of its files.
    let hasOthers = BlobStore.names(in: folder).contains { $0.contains(Self.damagedMark) }
    queue = CommitQueue(
      database, blobs: blobs, cleaner: BucketCleaner(keptVersions: keptVersions, sweeps: !isClean && !hasOthers),
      published: { [followers] in followers.publish($0, $1) })
  }

  private static let damagedMark = ".damaged-"

  /// A damaged database is put aside with its other files, and an empty one takes its place.
  private static func database(_ path: String, in folder: String) throws(BucketError) -> Database {
    for isSecond in [false, true] {
      do throws(BucketSchema.Failure) {
        return try BucketSchema.open(path: path)
      } catch {
        switch error {
        case .newer(let version):
          throw BucketError(
            503,
            "\(path) was written by a newer version (schema \(version), this one knows \(BucketSchema.version)): update "
              + "fsmvp, or move it away")
        case .failed(let sentence): throw BucketError(503, sentence)
        case .damaged where isSecond: throw BucketError(503, "\(path) is damaged and cannot be moved away")
        case .damaged:
          let aside = "\(path)\(damagedMark)\(time(nil))"
          for suffix in ["", "-wal", "-shm"] { rename(path + suffix, aside + suffix) }
          Log.error(.bucketsDamaged, ["path": path, "kept": aside])
        }
      }
    }
    throw BucketError(503, "\(path) cannot be opened")
  }

  func commit(_ order: CommitQueue.Order) throws(BucketError) -> MutationAnswer { try queue.commit(order).get() }

  /// For another store of this process in the same folder.
  func unlock() { flock(lock.number, LOCK_UN) }

  /// Commits what waits, and closes the files.
  func close() {
    followers.close()
    queue.close()
    readers.close()
  }
}
