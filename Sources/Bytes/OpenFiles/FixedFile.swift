import Core
import EventLoop
import Glibc
import Store
import Telemetry
import Volume

/// A small file of fixed content that a volume shows beside its own, served like any other: from a file in the cache
/// folder, by a lease. Both are made when it is first opened, and stay until the volume stops. It is no file of bytes:
/// it counts for no limit, and nothing drops it. The volume that shows it owns it, on the dispatch loop; the file is
/// written and read on other threads.
@DispatchLoop
package final class FixedFile {
  private enum State {
    case none
    case making([Reply])
    case standing(any Lease)
    case stopped
  }
  package typealias Reply = @Sendable @DispatchLoop (Result<LeaseID, Errno>) -> Void

  private let files: FileCache
  private let key: FileKey
  private let name: String
  private let content: [UInt8]
  private var state = State.none

  /// - Parameter name: of the file in the cache folder.
  package init(_ files: FileCache, _ key: FileKey, name: String, content: [UInt8]) {
    (self.files, self.key, self.name, self.content) = (files, key, name, content)
  }

  package var size: Int64 { Int64(content.count) }

  /// Answers with the lease to read it by.
  /// - Parameter wasBad: what the lease leads to could not be read: it is written anew.
  package func lease(wasBad: Bool = false, reply: @escaping Reply) {
    switch state {
    case .stopped: reply(.failure(.io))
    case .making(let waiting): state = .making(waiting + [reply])
    case .standing(let lease) where !wasBad: reply(.success(lease.id))
    case .standing(let lease):
      files.host(key.volume)?.revoke(lease) {}
      make(reply)
    case .none: make(reply)
    }
  }

  private func make(_ reply: @escaping Reply) {
    state = .making([reply])
    let (folder, name, content) = (files.leftovers.folder, name, content)
    EventLoop.dispatch.background {
      folder.put(content, as: name)
    } then: { [self] error in
      DispatchLoop.assumeIsolated { made(error) }
    }
  }

  private func made(_ error: Errno?) {
    guard case .making(let waiting) = state else { return }
    let result = error.map { Result<any Lease, Errno>.failure($0) } ?? grant()
    switch result {
    case .success(let lease):
      lease.mark(0..<1)
      state = .standing(lease)
    case .failure(let error):
      Log.warning(.fileFailed, ["name": name, "folder": files.leftovers.folder.name, "cause": error])
      state = .none
    }
    for reply in waiting { reply(result.map(\.id)) }
  }

  private func grant() -> Result<any Lease, Errno> {
    guard let host = files.host(key.volume) else { return .failure(.io) }
    do throws(LeaseRefusal) {
      return .success(try host.grantLease(node: key.node, root: 0, name: name, length: size))
    } catch {
      return .failure(error == .full ? .tooManyFiles : .io)
    }
  }

  package func stop() {
    if case .making(let waiting) = state { for reply in waiting { reply(.failure(.io)) } }
    if case .standing(let lease) = state { files.host(key.volume)?.revoke(lease) {} }
    state = .stopped
  }

  /// After the unmount. What cannot be removed in time does no harm: the next run uses it again.
  package func remove() async {
    let (folder, name) = (files.leftovers.folder, name)
    _ = await wait(atMost: .seconds(3), files.alarm) { done in
      SerialThread.deletion.run(on: .dispatch) {
        folder.remove(small: name)
      } then: { _ in
        DispatchLoop.assumeIsolated { done() }
      }
    }
  }
}

extension CacheFolder {
  /// Writes a small file, unless it is there already. At no time a reader of it finds another content. On a worker
  /// thread.
  /// - Returns: why it could not be written.
  fileprivate func put(_ content: [UInt8], as name: String) -> Errno? {
    guard contents(name, upTo: content.count + 1) != content else { return nil }
    let new = name + ".new"
    let file = openat(descriptor, new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
    guard file >= 0 else { return .current }
    let count = write(file, content, content.count)
    var error = count == content.count ? nil : count < 0 ? Errno.current : .noSpace
    close(file)
    if error == nil, renameat(descriptor, new, descriptor, name) != 0 { error = .current }
    if error != nil { unlinkat(descriptor, new, 0) }
    return error
  }

  private func contents(_ name: String, upTo limit: Int) -> [UInt8]? {
    let file = openat(descriptor, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: limit)
    let count = read(file, &bytes, limit)
    return count >= 0 ? Array(bytes.prefix(count)) : nil
  }

  fileprivate func remove(small name: String) {
    for name in [name, name + ".new"] { unlinkat(descriptor, name, 0) }
  }
}
