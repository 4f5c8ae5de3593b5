import ByteSource
import Core
import EventLoop

/// How a store begins. The file is made or opened on a worker thread, and the store is made of it on the transfer loop.
extension SparseStore {
  package enum Start: Sendable {
    /// With a new file.
    case empty
    /// With what an earlier run left under this name, which ends with it; nothing of it is used before it is proven.
    /// With a new file where there is nothing of use.
    case left(String)
    /// With a file that this process parked, which ends as such; in bytes, nil: all of it is there. With a new file if
    /// it is not what it was.
    case parked(String, stamp: UInt64, extents: [ByteRange]?)
    /// With the file as it is, these blocks of it vouched for all the time: readers may be reading them.
    case marked([Range<Int>])
  }

  /// The file that a worker found or made.
  struct Opened: Sendable {
    enum Bytes: Sendable {
      case none
      case unproven(RangeSet)
      /// In blocks; `summed` is what of them has a sum.
      case present(RangeSet, summed: RangeSet)
    }
    let file: CacheFolder.NewFile
    let sums: SumsFile
    let sumsPlan: SumsPlan
    var bytes = Bytes.none
  }

  /// Makes or opens `name` in `folder` (0600, of full length) on a worker thread.
  /// - Parameters:
  ///   - identity: of the item, the same in every run and never another's.
  ///   - beside: bytes in the folder that are no store's: of closed ones whose space is not free yet, of earlier runs.
  package static func create(
    name: String, in folder: CacheFolder, origin: any ByteSource, budget: FetchBudget, blockSize: Int64,
    identity: UInt64 = 0,
    start: Start = .empty, beside: Int64 = 0
  ) async throws(Failure) -> SparseStore {
    let size = origin.size
    guard size >= 0, blockSize > 0 else {
      throw .failed(.invalid, "a file of \(size) bytes in blocks of \(blockSize) cannot be")
    }
    let (ticket, claims) = budget.reserve(size, beside: beside)
    let header = SumsHeader(
      identity: identity, seed: .random(in: .min ... .max), length: size, blockSize: blockSize, validators: [])
    let opened: Result<Opened, Failure> = await withCheckedContinuation { continuation in
      EventLoop.transfer.background { () -> Result<Opened, Failure> in
        do throws(Failure) { return .success(try open(name, in: folder, header, start, claims)) } catch {
          return .failure(error)
        }
      } then: {
        continuation.resume(returning: $0)
      }
    }
    switch opened {
    case .success(let opened):
      let store = SparseStore(
        opened, name: name, folder: folder, origin: origin, budget: budget, blockSize: blockSize, ticket: ticket)
      store.askSums()
      return store
    case .failure(let failure):
      budget.release(ticket)
      throw failure
    }
  }

  /// Whether `name` in `folder` is of use to `create` as what an earlier run left. On a worker thread.
  package nonisolated static func isOfUse(_ name: String, in folder: CacheFolder, length: Int64, identity: UInt64)
    -> Bool
  {
    SumsFile.stands(for: name, in: folder, length: length, identity: identity)
  }

  // MARK: Parts

  private nonisolated static func open(
    _ name: String, in folder: CacheFolder, _ header: SumsHeader, _ start: Start, _ claims: CacheClaims
  ) throws(Failure) -> Opened {
    let (size, blockSize) = (header.length, header.blockSize)
    func sumsFile(_ file: CacheFolder.NewFile) -> SumsFile {
      SumsFile(
        folder: folder, name: SumsFile.name(of: name), bytes: file.descriptor, length: size, blockSize: blockSize)
    }
    switch start {
    case .empty: break
    case .left(let left):
      do throws(Failure) {
        let file = try folder.take(left, as: name, size: size, claims)
        let sums = sumsFile(file)
        let found = sums.read(identity: header.identity)
        return Opened(
          file: file, sums: sums, sumsPlan: SumsPlan(found?.header ?? header, isWritten: found != nil),
          bytes: .unproven(found?.blocks ?? RangeSet()))
      } catch .noRoom(let short, let sentence) {
        throw .noRoom(short: short, sentence)
      } catch  where error.errno.isShortage {
        throw error
      } catch {
        folder.remove(left)
      }
    case .parked(let parked, let stamp, let extents):
      do throws(Failure) {
        let file = try folder.takeBack(parked, stamp: stamp, as: name, size: size, claims)
        let sums = sumsFile(file)
        let found = sums.read(identity: header.identity)
        let all = RangeSet(extents ?? [ByteRange(0, size)])
        let blocks = RangeSet(
          all.ranges.compactMap { range in
            let first = (range.start + blockSize - 1) / blockSize
            let end = range.end == size ? (size + blockSize - 1) / blockSize : range.end / blockSize
            return first < end ? ByteRange(first, end) : nil
          })
        // A part under a version that is not known any more cannot be gone on with.
        let isKnown = extents == nil || found != nil
        return Opened(
          file: file, sums: sums, sumsPlan: SumsPlan(found?.header ?? header, isWritten: found != nil),
          bytes: isKnown ? .present(blocks, summed: found?.blocks ?? RangeSet()) : .none)
      } catch .noRoom(let short, let sentence) {
        throw .noRoom(short: short, sentence)
      } catch  where error.errno.isShortage {
        throw error
      } catch {
        folder.remove(parked)
      }
    case .marked(let blocks):
      let file = try folder.open(name, size: size)
      let sums = sumsFile(file)
      let found = sums.read(identity: header.identity)
      let total = Int((size + blockSize - 1) / blockSize)
      let marked = blocks.map { $0.clamped(to: 0..<total) }.map {
        ByteRange(Int64($0.lowerBound), Int64($0.upperBound))
      }
      return Opened(
        file: file, sums: sums, sumsPlan: SumsPlan(found?.header ?? header, isWritten: found != nil),
        bytes: .present(RangeSet(marked), summed: found?.blocks ?? RangeSet()))
    }
    let file = try folder.make(name, size: size, claims)
    return Opened(file: file, sums: sumsFile(file), sumsPlan: SumsPlan(header, isWritten: false))
  }

  func begin(with bytes: Opened.Bytes) {
    let size = engine.plan.size
    let blockSize = engine.plan.settings.blockSize
    func inBytes(_ blocks: RangeSet) -> RangeSet {
      RangeSet(blocks.ranges.map { ByteRange($0.start * blockSize, min(size, $0.end * blockSize)) })
    }
    switch bytes {
    case .none: break
    case .unproven(let blocks):
      engine.begin(unproven: inBytes(blocks), validators: sums.header.validators)
    case .present(let blocks, let summed):
      engine.begin(present: inBytes(blocks), validators: sums.header.validators)
      for run in blocks.ranges.flatMap(summed.missing) { needSums(of: Int(run.start)..<Int(run.end)) }
    }
    presentChanged()
  }
}
