import Core
import EventLoop
import Glibc

/// A store's end with its file kept: no descriptor, no fetch and no timer is left of it, and the next store goes on
/// with the file. It runs on the transfer loop; what it asks of the file is asked on worker threads.
extension SparseStore {
  /// A parked file, as the next store needs to know it.
  package struct Parked: Equatable, Sendable {
    /// On the disk: of a file whose bytes are proven without its sums, because those are counted nowhere while the
    /// store stands.
    package var bytes: Int64
    /// Tells whether the file was touched since; nil: its bytes were not proven yet, and have to be as after a death.
    package var stamp: UInt64?
    /// The bytes that are there, at most `SparseStore.mostExtents` runs; nil: all.
    package var extents: [ByteRange]?
    package init(bytes: Int64, stamp: UInt64?, extents: [ByteRange]?) {
      (self.bytes, self.stamp, self.extents) = (bytes, stamp, extents)
    }
  }

  /// More runs than this are not remembered: the shortest are fetched again.
  package static var mostExtents: Int { 32 }

  /// The end, with the file left where it is: fetches are cancelled, waiters get EIO, the sums that are still to be
  /// written are written and the descriptor is closed (on a worker thread), then `done`.
  /// - Parameter done: gets nil if nothing of the file can be kept, which is then unlinked, or if the store was closed
  ///   before.
  package func park(done: @escaping @Sendable (Parked?) -> Void) {
    guard engine.closed == nil else { return done(nil) }
    let isProven = engine.plan.unproven.isEmpty
    let here = engine.plan.extents
    let isWhole = here.contains(ByteRange(0, engine.plan.size))
    let runs =
      here.ranges.count <= Self.mostExtents
      ? here.ranges : Array(here.ranges.sorted { $0.count > $1.count }.prefix(Self.mostExtents))
    let extents = isWhole ? nil : runs.sorted { $0.start < $1.start }
    _ = engine.end(.io)
    withdraw()
    ending = .park { [folder, name, descriptor, sumsFile, sums] in
      var sums = sums
      // All that is still to be written of them; without a header the file is of no use after a death, and as good as
      // before until then.
      while let work = sums.next(isIdle: true) {
        let error =
          switch work {
          case .header(let header): sumsFile.write(header)
          case .sum(let blocks, let known): sumsFile.sum(blocks, known: known)
          }
        if error != nil { break }
      }
      let stamp = CacheFolder.stamp(of: descriptor)
      Glibc.close(descriptor)
      guard let stamp, isWhole || !here.isEmpty else {
        guard !isProven else {
          folder.remove(name)
          return nil
        }
        return Parked(bytes: folder.bytesOnDisk(name), stamp: nil, extents: extents)
      }
      return Parked(
        bytes: isProven ? here.count : folder.bytesOnDisk(name), stamp: isProven ? stamp : nil,
        extents: isProven ? extents : [])
    } done: {
      done($0)
    }
    removeIfIdle()
  }
}

extension CacheFolder {
  /// A number that changes if anything but a rename happens to the file behind `descriptor`; nil if it cannot be looked
  /// at. On a worker thread.
  static func stamp(of descriptor: Int32) -> UInt64? {
    var about = stat()
    guard fstat(descriptor, &about) == 0 else { return nil }
    var hash = StableHash()
    for number in [
      UInt64(about.st_dev), UInt64(about.st_ino), UInt64(about.st_size),
      UInt64(bitPattern: Int64(about.st_mtim.tv_sec)),
      UInt64(bitPattern: Int64(about.st_mtim.tv_nsec)),
    ] {
      withUnsafeBytes(of: number) { hash.combine($0) }
    }
    return hash.value
  }

  /// Gives a parked file, with its sums, a name of this use, if it is what it was and there is room for what it lacks.
  /// On a worker thread.
  func takeBack(_ parked: String, stamp: UInt64, as file: String, size: Int64, _ claims: CacheClaims) throws(SparseStore
    .Failure) -> NewFile
  {
    let found = try open(parked, size: size)
    do throws(SparseStore.Failure) {
      guard Self.stamp(of: found.descriptor) == stamp else {
        throw .failed(.io, "a parked file in \(name) is not what it was")
      }
      try checkRoom(forRestOf: found.descriptor, size: size, claims)
      // Its sums may never have been written; without them the bytes are of no use after a death, and as good as before
      // until then.
      renameat(descriptor, SumsFile.name(of: parked), descriptor, SumsFile.name(of: file))
      guard renameat(descriptor, parked, descriptor, file) == 0 else {
        let error = Errno.current
        throw .failed(error, "a parked file in \(name) cannot be renamed: \(error)")
      }
    } catch {
      close(found.descriptor)
      throw error
    }
    return found
  }
}

extension SparseStore {
  /// Marks what is there from the start: for a store of a parked file, whose lease has no mark yet.
  package func markPresent() {
    let blockSize = sumsFile.blockSize
    for range in engine.plan.extents.ranges where !range.isEmpty {
      let first = Int((range.start + blockSize - 1) / blockSize)
      let end = Int(
        range.end == engine.plan.size ? (engine.plan.size + blockSize - 1) / blockSize : range.end / blockSize)
      if first < end { onBlocks?(first..<end, true) }
    }
  }
}

extension SparseStore {
  /// Whether all of a file that an earlier run left is there, by the blocks that have a sum. On a worker thread.
  package nonisolated static func isWhole(_ name: String, in folder: CacheFolder, length: Int64, identity: UInt64)
    -> Bool
  {
    var file = stat()
    guard fstatat(folder.descriptor, name, &file, AT_SYMLINK_NOFOLLOW) == 0, Int64(file.st_size) == length else {
      return false
    }
    return SumsFile.areWhole(for: name, in: folder, length: length, identity: identity)
  }
}
