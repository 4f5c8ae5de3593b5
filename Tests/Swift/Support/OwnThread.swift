import Glibc

/// A thread for one call that blocks. The pool that Swift's tasks share has a thread a core, and a task that waits on a
/// loop is resumed by way of it: tests that block there can keep each other's servers from answering.
package enum OwnThread {
  private final class Work {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
  }

  package static func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
      let work = Work { continuation.resume(returning: body()) }
      var thread = pthread_t()
      let context = Unmanaged.passRetained(work).toOpaque()
      pthread_create(
        &thread, nil,
        { @Sendable context in
          if let context { Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body() }
          return nil
        }, context)
      pthread_detach(thread)
    }
  }
}
