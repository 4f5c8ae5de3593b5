import CCurl
import Core
import EventLoop

/// A libcurl multi handle on the transfer loop: its sockets are polls, its time-outs a timer of the loop. Owns the easy
/// handles that run, and the connections, also those that are kept for the next request.
///
/// libcurl must not be called from inside its own callbacks, and sinks are called there; so what changes the set of
/// transfers goes through `outside`, which waits until libcurl has returned. `HTTPClient` owns it, and closes it when
/// nothing ran for a while.
@TransferLoop
final class CurlMulti {
  private let raw: UnsafeMutableRawPointer
  private var timer: LoopTimer?
  private var polls: [Int32: LoopPoll] = [:]
  private(set) var running: [UnsafeMutableRawPointer: EasyHandle] = [:]
  /// How many calls into libcurl are on the stack.
  private var depth = 0
  private var isSettling = false
  private var deferred: [() -> Void] = []

  /// `close` it before forgetting it.
  init(connectionsKept: Int) throws(TransferError) {
    guard let raw = curl_multi_init() else { throw .unreachable("libcurl could not be initialised") }
    self.raw = raw
    timer = try? LoopTimer(on: .transfer) { [weak self] in self?.act(on: ccurl_socket_timeout(), 0) }
    let context = Unmanaged.passUnretained(self).toOpaque()
    let codes = [
      ccurl_multi_set_callbacks(raw, socketCallback, timerCallback, context),
      ccurl_multi_set_long(raw, CURLMOPT_MAXCONNECTS, connectionsKept),
      ccurl_multi_set_long(raw, CURLMOPT_PIPELINING, Int(CURLPIPE_NOTHING)),
    ]
    guard timer != nil, codes.allSatisfy({ $0 == CURLM_OK }) else {
      curl_multi_cleanup(raw)
      throw .unreachable("libcurl could not be initialised")
    }
  }

  /// Closes the connections. Nothing may run.
  func close() {
    precondition(running.isEmpty && depth == 0, "libcurl closed under a transfer")
    enter { curl_multi_cleanup(raw) }
    for poll in polls.values { poll.close() }
    polls = [:]
    timer?.close()
    timer = nil
  }

  // MARK: Transfers

  /// Starts it; nothing is called back before this returns. Not from inside a callback of libcurl.
  func add(_ easy: EasyHandle) throws(TransferError) {
    precondition(depth == 0, "a transfer added inside a callback")
    running[easy.raw] = easy
    var code = CURLM_OK
    enter { code = curl_multi_add_handle(raw, easy.raw) }
    guard code == CURLM_OK else {
      running[easy.raw] = nil
      throw .unreachable(String(cString: curl_multi_strerror(code)))
    }
  }

  /// Ends it where it stands, silently; the connection is closed unless the answer was read to its end. Not from inside
  /// a callback of libcurl.
  func remove(_ easy: EasyHandle) {
    precondition(depth == 0, "a transfer removed inside a callback")
    guard running.removeValue(forKey: easy.raw) != nil else { return }
    enter { curl_multi_remove_handle(raw, easy.raw) }
  }

  /// Lets a paused transfer go on; may call back at once. Not from inside a callback of libcurl.
  func unpause(_ easy: EasyHandle) -> CURLcode {
    var code = CURLE_OK
    enter { code = curl_easy_pause(easy.raw, CURLPAUSE_CONT) }
    return code
  }

  /// Runs `work` now, or when libcurl's outermost call has returned.
  func outside(_ work: @escaping () -> Void) {
    if depth == 0 { work() } else { deferred.append(work) }
  }

  // MARK: Into libcurl and out

  private func act(on socket: curl_socket_t, _ events: Int32) {
    var left: Int32 = 0
    enter { curl_multi_socket_action(raw, socket, events, &left) }
  }

  private func enter(_ call: () -> Void) {
    depth += 1
    call()
    depth -= 1
    if depth == 0, !isSettling { settle() }
  }

  /// Runs deferred work, then reports ended transfers, until there is nothing left of either.
  private func settle() {
    isSettling = true
    defer { isSettling = false }
    while true {
      if !deferred.isEmpty {
        let batch = deferred
        deferred = []
        for work in batch { work() }
        continue
      }
      var ended: UnsafeMutableRawPointer?
      var code = CURLE_OK
      guard timer != nil, ccurl_next_finished(raw, &ended, &code), let ended else { return }
      guard let easy = running[ended], let exchange = easy.exchange else { continue }
      exchange.transferEnded(easy.result(code))
    }
  }

  // MARK: libcurl's wishes

  fileprivate func watch(_ socket: curl_socket_t, _ what: Int32) {
    guard what != CURL_POLL_REMOVE else {
      polls.removeValue(forKey: socket)?.close()
      return
    }
    let poll: LoopPoll
    if let known = polls[socket] {
      poll = known
    } else {
      guard
        let made = try? LoopPoll(socket, on: .transfer, ready: { [weak self] events in self?.ready(socket, events) })
      else { return }
      polls[socket] = made
      poll = made
    }
    var events: LoopPoll.Events = []
    if what & CURL_POLL_IN != 0 { events.insert(.readable) }
    if what & CURL_POLL_OUT != 0 { events.insert(.writable) }
    poll.start(events)
  }

  private func ready(_ socket: curl_socket_t, _ events: LoopPoll.Events) {
    var action: Int32 = 0
    if events.contains(.readable) { action |= CURL_CSELECT_IN }
    if events.contains(.writable) { action |= CURL_CSELECT_OUT }
    if events.contains(.failed) { action |= CURL_CSELECT_ERR }
    act(on: socket, action)
  }

  fileprivate func wake(after milliseconds: Int) {
    if milliseconds < 0 { timer?.stop() } else { timer?.start(after: .milliseconds(milliseconds)) }
  }
}

private func socketCallback(
  _: UnsafeMutableRawPointer?, _ socket: curl_socket_t, _ what: Int32, _ context: UnsafeMutableRawPointer?,
  _: UnsafeMutableRawPointer?
) -> Int32 {
  nonisolated(unsafe) let context = context
  TransferLoop.assumeIsolated {
    if let context { Unmanaged<CurlMulti>.fromOpaque(context).takeUnretainedValue().watch(socket, what) }
  }
  return 0
}

private func timerCallback(_: UnsafeMutableRawPointer?, _ milliseconds: Int, _ context: UnsafeMutableRawPointer?)
  -> Int32
{
  nonisolated(unsafe) let context = context
  TransferLoop.assumeIsolated {
    if let context { Unmanaged<CurlMulti>.fromOpaque(context).takeUnretainedValue().wake(after: milliseconds) }
  }
  return 0
}
