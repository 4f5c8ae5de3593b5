import Core

/// Requests for room on the disk, served one at a time in order of asking: space freed for one would else be freed
/// again for the next. `FileCache` owns the one of the process, on the dispatch loop.
@DispatchLoop
package final class RoomQueue {
  private struct Request {
    var key: FileKey
    var short: Int64
    /// `LeavingSpace.timesFreed` before the attempt that failed.
    var since: Int
    var done: @DispatchLoop (Bool) -> Void
  }

  private let space: LeavingSpace
  /// Frees something for an item, and calls back when its space is free; false where there is nothing.
  private let free: @DispatchLoop (_ key: FileKey, _ short: Int64, _ then: @escaping @DispatchLoop () -> Void) -> Bool
  private var waiting: [Request] = []
  private var isFreeing = false
  private var isStopped = false

  package init(
    _ space: LeavingSpace,
    free: @escaping @DispatchLoop (_ key: FileKey, _ short: Int64, _ then: @escaping @DispatchLoop () -> Void) -> Bool
  ) {
    self.space = space
    self.free = free
  }

  /// - Parameters:
  ///   - short: so many bytes are too few, where that is known; else 0.
  ///   - since: `LeavingSpace.timesFreed` before the attempt that failed.
  ///   - done: with true where another attempt may do, false where no room can be made.
  package func ask(for key: FileKey, short: Int64, since: Int, done: @escaping @DispatchLoop (Bool) -> Void) {
    guard !isStopped else { return done(false) }
    waiting.append(Request(key: key, short: short, since: since, done: done))
    next()
  }

  /// Refuses all requests, the waiting ones too.
  package func stop() {
    isStopped = true
    let left = waiting
    waiting = []
    for request in left { request.done(false) }
  }

  private func next() {
    while !isFreeing, !waiting.isEmpty {
      let request = waiting.removeFirst()
      if space.timesFreed > request.since {
        request.done(true)
        continue
      }
      isFreeing = true
      let isUnderWay = free(request.key, request.short) { [self] in
        isFreeing = false
        request.done(true)
        next()
      }
      guard !isUnderWay else { continue }
      isFreeing = false
      request.done(false)
    }
  }
}
