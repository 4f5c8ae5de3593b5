import Glibc

/// The id of an instance, 16 hex digits, as its state folder tells it to other processes. The control plane writes the
/// file; `read` reads it anew, from the disk, at each call.
package enum InstanceID {
  /// The file in the state folder that holds it.
  package static func path(in stateFolder: String) -> String { "\(stateFolder)/instance" }

  package static func isValid(_ text: String) -> Bool {
    text.utf8.count == 16 && text.utf8.allSatisfy { ($0 >= 48 && $0 < 58) || ($0 >= 97 && $0 < 103) }
  }

  /// - Returns: nil if no instance has used the folder yet.
  package static func read(from stateFolder: String) -> String? {
    let descriptor = open(path(in: stateFolder), O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var text = [UInt8](repeating: 0, count: 16)
    guard Glibc.read(descriptor, &text, 16) == 16 else { return nil }
    let id = String(decoding: text, as: UTF8.self)
    return isValid(id) ? id : nil
  }
}
