import CGtk
import Glibc

/// The document portal's way to hand a file to an application in a sandbox, which does not see our mount: the receiver
/// gets a key, and asks the portal for what stands behind it. Here as a content provider that makes the key when a
/// receiver asks for it, and not before.
///
/// GTK does this, too, but looks the file up on its main thread: a window that is asked while the control plane is away
/// would hang until it is back. GTK prefers the types that a provider offers itself to those it would derive.
///
/// GTK owns the provider, on the main thread; the portal is asked on a thread of its own.
@MainActor enum FileTransfer {
  nonisolated static let portal = "org.freedesktop.portal.Documents"
  private nonisolated static let path = "/org/freedesktop/portal/documents"
  private nonisolated static let interface = "org.freedesktop.portal.FileTransfer"
  private nonisolated static let mimeType = "application/vnd.portal.filetransfer"
  private nonisolated static let patience: Int32 = 5000

  /// - Parameter file: absolute.
  static func provider(for file: String, on connection: OpaquePointer) -> UnsafeMutablePointer<GdkContentProvider> {
    let object = UnsafeMutableRawPointer(g_object_new_with_properties(type, 0, nil, nil)!)
    let offer = Offer(file: file, connection: connection)
    g_object_set_data_full(
      object.assumingMemoryBound(to: GObject.self), "offer", Unmanaged.passRetained(offer).toOpaque(),
      { @Sendable data in if let data { Unmanaged<Offer>.fromOpaque(data).release() } })
    return object.assumingMemoryBound(to: GdkContentProvider.self)
  }

  /// A class of GObject's, made once.
  private static let type: GType = {
    var information = GTypeInfo()
    information.class_size = UInt16(MemoryLayout<GdkContentProviderClass>.size)
    information.instance_size = UInt16(MemoryLayout<GdkContentProvider>.size)
    information.class_init = { @Sendable members, _ in
      guard let members = members?.assumingMemoryBound(to: GdkContentProviderClass.self) else { return }
      members.pointee.ref_formats = { @Sendable _ in
        FileTransfer.mimeType.withCString { name in
          var names = [Optional(name)]
          return gdk_content_formats_new(&names, 1)
        }
      }
      members.pointee.write_mime_type_async = { @Sendable provider, _, stream, priority, cancellable, callback, data in
        let task = g_task_new(provider, cancellable, callback, data)
        nonisolated(unsafe) let (offered, target, answer) = (provider, stream, task)
        MainActor.assumeIsolated { FileTransfer.write(offered, target, priority, answer) }
      }
      members.pointee.write_mime_type_finish = { @Sendable _, result, error in g_task_propagate_boolean(result, error) }
    }
    return g_type_register_static(gdk_content_provider_get_type(), "FsmvpFileTransfer", &information, GTypeFlags(0))
  }()

  private final class Offer: Sendable {
    let file: String
    // Thread-safe, as GIO says.
    nonisolated(unsafe) let connection: OpaquePointer
    init(file: String, connection: OpaquePointer) {
      self.file = file
      self.connection = connection
      g_object_ref(UnsafeMutableRawPointer(connection))
    }
    deinit { g_object_unref(UnsafeMutableRawPointer(connection)) }
  }

  private static func write(
    _ provider: UnsafeMutablePointer<GdkContentProvider>?, _ stream: UnsafeMutablePointer<GOutputStream>?,
    _ priority: Int32,
    _ task: OpaquePointer?
  ) {
    guard let provider, let stream,
      let data = g_object_get_data(UnsafeMutableRawPointer(provider).assumingMemoryBound(to: GObject.self), "offer")
    else { return }
    let offer = Unmanaged<Offer>.fromOpaque(data).takeUnretainedValue()
    g_object_ref(stream)
    MainLoop.elsewhere {
      key(for: offer)
    } then: { key in
      guard case .success(let key) = key else {
        if case .failure(let failure) = key { g_task_return_error(task, failure.error) }
        g_object_unref(UnsafeMutableRawPointer(task))
        g_object_unref(stream)
        return
      }
      let bytes = strdup(key)
      // With the NUL behind it, as GTK writes it and receivers know it.
      g_output_stream_write_all_async(
        stream, bytes, UInt(strlen(key)) + 1, priority, g_task_get_cancellable(task), AsyncAnswer.callback,
        AsyncAnswer { _, result in
          var error: UnsafeMutablePointer<GError>?
          if g_output_stream_write_all_finish(stream, result, nil, &error) != 0 {
            g_task_return_boolean(task, 1)
          } else {
            g_task_return_error(task, error)
          }
          free(bytes)
          g_object_unref(UnsafeMutableRawPointer(task))
          g_object_unref(stream)
        }.kept)
    }
  }

  private struct Failure: Error, @unchecked Sendable {
    // Handed over, never shared.
    let error: UnsafeMutablePointer<GError>?
  }

  /// Asks the portal; waits.
  private nonisolated static func key(for offer: Offer) -> Result<String, Failure> {
    var error: UnsafeMutablePointer<GError>?
    // A descriptor by the path alone: opening the file would be a use of it and begin to fetch.
    let descriptor = open(offer.file, CGTK_PATH_ONLY)
    guard descriptor >= 0 else {
      let (code, words) = (errno, String(cString: strerror(errno)))
      return .failure(
        Failure(error: g_error_new_literal(g_io_error_quark(), Int32(g_io_error_from_errno(code).rawValue), words)))
    }
    let descriptors = g_unix_fd_list_new()
    defer { g_object_unref(descriptors) }
    let index = g_unix_fd_list_append(descriptors, descriptor, &error)
    close(descriptor)
    guard index >= 0 else { return .failure(Failure(error: error)) }

    // The key ends with its first use.
    let started = g_dbus_connection_call_sync(
      offer.connection, portal, path, interface, "StartTransfer",
      tuple(options(["writable": false, "autostop": true])), nil,
      G_DBUS_CALL_FLAGS_NONE, patience, nil, &error)
    guard let started else { return .failure(Failure(error: error)) }
    defer { g_variant_unref(started) }
    guard g_variant_is_of_type(started, cgtk_one_text()) != 0 else {
      return .failure(
        Failure(
          error: g_error_new_literal(
            g_io_error_quark(), Int32(G_IO_ERROR_INVALID_DATA.rawValue), "the portal gave no key")))
    }
    let text = g_variant_get_child_value(started, 0)
    defer { g_variant_unref(text) }
    let key = String(cString: g_variant_get_string(text, nil))

    var handles: [OpaquePointer?] = [g_variant_new_handle(index)]
    let added = g_dbus_connection_call_with_unix_fd_list_sync(
      offer.connection, portal, path, interface, "AddFiles",
      tuple(g_variant_new_string(key), g_variant_new_array(nil, &handles, 1), options([:])), nil,
      G_DBUS_CALL_FLAGS_NONE, patience, descriptors, nil, nil, &error)
    guard let added else { return .failure(Failure(error: error)) }
    g_variant_unref(added)
    return .success(key)
  }

  private nonisolated static func tuple(_ parts: OpaquePointer?...) -> OpaquePointer? {
    var parts = parts
    return g_variant_new_tuple(&parts, UInt(parts.count))
  }

  /// `a{sv}` of flags.
  private nonisolated static func options(_ flags: [String: Bool]) -> OpaquePointer? {
    var entries = flags.sorted { $0.key < $1.key }.map { name, value in
      g_variant_new_dict_entry(g_variant_new_string(name), g_variant_new_variant(g_variant_new_boolean(value ? 1 : 0)))
    }
    return g_variant_new_array(cgtk_named_value(), &entries, UInt(entries.count))
  }
}
