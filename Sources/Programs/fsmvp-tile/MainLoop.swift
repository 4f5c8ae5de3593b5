import CGtk

/// GTK's main loop, which is the main thread: what other threads hand to it, what is done later, and what is done
/// elsewhere meanwhile. It has no state of its own.
enum MainLoop {
  /// Does `body` soon on the main thread; from any thread.
  static func post(_ body: @escaping @MainActor () -> Void) {
    let once = Once(body)
    g_idle_add_full(
      G_PRIORITY_DEFAULT,
      { @Sendable data in
        let once = Once.of(data)
        MainActor.assumeIsolated { once?.body() }
        return 0
      }, Unmanaged.passRetained(once).toOpaque(), { @Sendable data in Once.forget(data) })
  }

  /// - Returns: for `cancel`, before it happened.
  @MainActor @discardableResult static func after(_ milliseconds: UInt32, _ body: @escaping @MainActor () -> Void)
    -> UInt32
  {
    let once = Once(body)
    return g_timeout_add_full(
      G_PRIORITY_DEFAULT, milliseconds,
      { @Sendable data in
        let once = Once.of(data)
        MainActor.assumeIsolated { once?.body() }
        return 0
      }, Unmanaged.passRetained(once).toOpaque(), { @Sendable data in Once.forget(data) })
  }

  @MainActor static func cancel(_ timer: UInt32) { g_source_remove(timer) }

  /// Does `work`, which may wait, on a thread of its own, and `then` with what came of it on the main thread. Nothing
  /// that waits is done elsewhere: a window that does not answer is a window that has hung.
  @MainActor static func elsewhere<Value: Sendable>(
    _ work: @escaping @Sendable () -> Value, then: @escaping @MainActor (Value) -> Void
  ) {
    let errand = Errand {
      let value = work()
      post { then(value) }
    }
    let thread = g_thread_new(
      "errand",
      { @Sendable data in
        guard let data else { return nil }
        Unmanaged<Errand>.fromOpaque(data).takeRetainedValue().body()
        return nil
      }, Unmanaged.passRetained(errand).toOpaque())
    g_thread_unref(thread)
  }

  private final class Once: Sendable {
    let body: @MainActor () -> Void
    init(_ body: @escaping @MainActor () -> Void) { self.body = body }
    static func of(_ data: UnsafeMutableRawPointer?) -> Once? {
      data.map { Unmanaged<Once>.fromOpaque($0).takeUnretainedValue() }
    }
    static func forget(_ data: UnsafeMutableRawPointer?) { data.map { Unmanaged<Once>.fromOpaque($0).release() } }
  }

  private final class Errand: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
}
