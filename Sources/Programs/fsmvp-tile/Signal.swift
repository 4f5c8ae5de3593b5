import CGtk

/// The arguments of a signal, the object that sends it first, and its answer. It is valid during the call alone; a
/// handler that was connected lives as long as its object, on the main thread.
@MainActor struct SignalCall {
  fileprivate let values: UnsafePointer<GValue>
  fileprivate let result: UnsafeMutablePointer<GValue>?

  func pointer(_ index: Int) -> UnsafeMutableRawPointer? { g_value_peek_pointer(values + index) }
  func number(_ index: Int) -> UInt32 { g_value_get_uint(values + index) }
  func integer(_ index: Int) -> Int32 { g_value_get_int(values + index) }
  func modifiers(_ index: Int) -> GdkModifierType { GdkModifierType(g_value_get_flags(values + index)) }

  /// The text of an argument that is a GVariant.
  func variantText(_ index: Int) -> String? {
    guard let variant = g_value_get_variant(values + index), g_variant_is_of_type(variant, cgtk_text()) != 0 else {
      return nil
    }
    return String(cString: g_variant_get_string(variant, nil))
  }

  func answer(_ isHandled: Bool) { if let result { g_value_set_boolean(result, isHandled ? 1 : 0) } }
  /// Gives the object away.
  func answer(object: UnsafeMutablePointer<GdkContentProvider>?) {
    if let result { g_value_take_object(result, object) }
  }
}

private final class SignalHandler: Sendable {
  let body: @MainActor (SignalCall) -> Void
  init(_ body: @escaping @MainActor (SignalCall) -> Void) { self.body = body }
}

/// Calls `body` whenever `instance`, an object of GTK's, sends `signal`; as long as it lives.
@MainActor func on(
  _ instance: UnsafeMutableRawPointer, _ signal: String, _ body: @escaping @MainActor (SignalCall) -> Void
) {
  cgtk_connect(
    instance, signal,
    { @Sendable closure, result, _, values, _, _ in
      guard let values, let data = cgtk_closure_data(closure) else { return }
      let handler = Unmanaged<SignalHandler>.fromOpaque(data).takeUnretainedValue()
      nonisolated(unsafe) let (arguments, answer) = (values, result)
      MainActor.assumeIsolated { handler.body(SignalCall(values: arguments, result: answer)) }
    }, Unmanaged.passRetained(SignalHandler(body)).toOpaque(),
    { @Sendable data, _ in
      if let data { Unmanaged<SignalHandler>.fromOpaque(data).release() }
    })
}

@MainActor func on(_ instance: OpaquePointer, _ signal: String, _ body: @escaping @MainActor (SignalCall) -> Void) {
  on(UnsafeMutableRawPointer(instance), signal, body)
}

/// The context of a GAsyncReadyCallback; kept from the call to the answer.
final class AsyncAnswer: Sendable {
  typealias Body = @MainActor (_ source: UnsafeMutablePointer<GObject>?, _ result: OpaquePointer) -> Void
  private let body: Body
  init(_ body: @escaping Body) { self.body = body }

  /// For the call's `user_data`.
  var kept: UnsafeMutableRawPointer { Unmanaged.passRetained(self).toOpaque() }

  /// For the call's `callback`.
  static let callback: GAsyncReadyCallback = { @Sendable source, result, data in
    guard let data, let result else { return }
    let answer = Unmanaged<AsyncAnswer>.fromOpaque(data).takeRetainedValue()
    nonisolated(unsafe) let (sender, outcome) = (source, result)
    MainActor.assumeIsolated { answer.body(sender, outcome) }
  }
}

/// The sentence of an error, which is freed.
func sentence(of error: UnsafeMutablePointer<GError>?) -> String {
  guard let error else { return "" }
  defer { g_error_free(error) }
  return String(cString: error.pointee.message)
}
