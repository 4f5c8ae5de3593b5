import ByteSource
import Core

/// Receives the result of a read. If the shim may still copy the bytes later, returns a check that stays true until it
/// has.
package typealias StoreReply = @Sendable (Result<ByteRange, Errno>) -> (@Sendable () -> Bool)?

/// A file's bytes, which an engine fetches when they are wanted: in a sparse file (`SparseStore`) or in a window of
/// memory (`WindowStore`). Each store has its own engine; all calls come on the transfer loop.
@TransferLoop
package protocol FetchStore: AnyObject, Sendable {
  nonisolated var engine: FetchEngine { get }
  /// Answers once all of `range` (cut to the file) is there and marked, or with EIO (EIO, ENOSPC, ESTALE) once it
  /// cannot be; on the transfer loop. Goes before anything speculative.
  func read(_ range: ByteRange, reply: @escaping StoreReply)
  /// Until the next call, this is fetched beside what reads wait for.
  func setFilling(_ filling: Filling)
}

extension FetchStore {
  /// Called when fetching gave up (a sentence for people) and when it goes on again (nil).
  package var onFailure: (@Sendable (String?) -> Void)? {
    get { engine.onFailure }
    set { engine.onFailure = newValue }
  }
  /// Called when the origin turned out to have another file than the one that was begun.
  package var onChange: (@Sendable (SourceChange) -> Void)? {
    get { engine.onChange }
    set { engine.onChange = newValue }
  }
  /// The validators under which the bytes here came.
  package var validators: [Validator] { engine.plan.version.accepted }
  /// The origin answers ranges with whole objects, for which this store has no room.
  package var needsFile: Bool { engine.plan.needsFile }

  /// Whether all of `range` is here now.
  package func has(_ range: ByteRange) -> Bool { engine.plan.extents.contains(range) }

  /// Readers have bytes of the file from another store. Without effect if this one has bytes, or had an answer.
  package func follow(_ heritage: SourceHeritage) { engine.follow(heritage) }

  /// Asks the origin whether it still has the file that readers have bytes of. Calls back on the loop, with true if it
  /// has another one; with false if that is not known or no reader has a byte. It may take as long as the origin takes.
  package func recheck(_ done: @escaping @Sendable (Bool) -> Void) { engine.recheck(done) }
}

/// The place that an engine's bytes go to: all that the two kinds of stores do differently while bytes are fetched.
@TransferLoop
protocol FetchTarget: FetchStore {
  /// How much may come now.
  var room: FetchRoom { get }
  /// `flight` begins: room for its range is kept until its last `flush`.
  func keepRoom(for flight: Flight)
  /// Takes bytes of an ordinary fetch that are inside it.
  /// - Returns: false where there is no room for them now; the flight is resumed once there is.
  func write(_ bytes: UnsafeRawBufferPointer, _ range: ByteRange, of flight: Flight) -> Bool
  /// Sends what `flight` brought, and is not where it belongs yet, there. `isLast`: the flight will bring nothing more.
  func flush(_ flight: Flight, isLast: Bool)
  /// These blocks became readable; none if only the version may have been judged. Called before any byte of what was
  /// judged is taken.
  func mark(_ blocks: [Range<Int>])
  /// Says whether `bytes` of `range`, which an overlap brought, are the bytes here. Calls back now or later, on the
  /// loop.
  func compare(_ bytes: [UInt8], _ range: ByteRange, then done: @escaping (Bool) -> Void)
  /// The engine has seen to everything.
  func settled()
}

/// How much a store may take.
struct FetchRoom {
  /// Bytes that there is room for ahead of readers.
  var ahead: Int64 = .max
  /// Bytes are being written or wait for room: what does not come is no stall of the origin.
  var isBusy = false
}
