import Glibc
import Synchronization

/// Writes text to a descriptor from a thread of its own. A caller only appends to a bounded queue and never waits: if
/// the other end takes nothing (a full pipe, a terminal that stands still), text is dropped and counted. `Log` owns the
/// two of the process; the queue is behind a lock.
final class TextWriter: Sendable {
  private struct Queue {
    var texts: [String] = []
    var bytes = 0
    var dropped = 0
    var isWriting = false
    var hasThread = false
  }

  /// Bytes that wait at most, beside those the thread is writing.
  static let room = 1 << 20

  private let descriptor: Int32
  /// The line that says how many texts were dropped.
  private let sayDropped: @Sendable (Int) -> String
  private let queue = Mutex(Queue())
  // SAFETY: a POSIX semaphore is made for being shared; allocated once, freed with the last reference.
  private nonisolated(unsafe) let semaphore: UnsafeMutablePointer<sem_t> = .allocate(capacity: 1)

  /// - Parameter descriptor: stays the caller's, and open as long as this is used. Writers live as long as the process.
  init(_ descriptor: Int32, sayDropped: @escaping @Sendable (Int) -> String) {
    self.descriptor = descriptor
    self.sayDropped = sayDropped
    sem_init(semaphore, 0, 0)
  }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  func add(_ text: String) {
    let count = text.utf8.count
    let isAccepted = queue.withLock { queue in
      // The next text tries again if there was no thread to be had.
      if !queue.hasThread { queue.hasThread = startThread() }
      guard queue.bytes + count <= Self.room else {
        queue.dropped += 1
        return false
      }
      queue.texts.append(text)
      queue.bytes += count
      return true
    }
    if isAccepted { sem_post(semaphore) }
  }

  /// Whether all is written.
  var isIdle: Bool { queue.withLock { $0.texts.isEmpty && !$0.isWriting } }

  /// Bytes that the thread has not taken yet.
  var waitingBytes: Int { queue.withLock(\.bytes) }

  /// Texts dropped and not told yet.
  var dropped: Int { queue.withLock(\.dropped) }

  private func startThread() -> Bool {
    var thread = pthread_t()
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, 128 << 10)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    let context = Unmanaged.passRetained(self)
    let status = pthread_create(
      &thread, &attributes,
      { @Sendable context in
        if let context { Unmanaged<TextWriter>.fromOpaque(context).takeUnretainedValue().writeForEver() }
        return nil
      }, context.toOpaque())
    if status != 0 { context.release() }
    return status == 0
  }

  private func writeForEver() {
    while true {
      while sem_wait(semaphore) != 0 {}
      let (texts, dropped) = queue.withLock { queue in
        defer { (queue.texts, queue.bytes, queue.dropped, queue.isWriting) = ([], 0, 0, true) }
        return (queue.texts, queue.dropped)
      }
      write(texts.joined() + (dropped > 0 ? sayDropped(dropped) : ""))
      queue.withLock { $0.isWriting = false }
    }
  }

  private func write(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
      var done = 0
      while done < bytes.count {
        let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
        if count > 0 {
          done += count
        } else if count < 0, errno == EAGAIN {
          // The description may be shared with a program that made it non-blocking.
          var watched = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
          poll(&watched, 1, 1000)
        } else if count == 0 || errno != EINTR {
          return
        }
      }
    }
  }
}
