import CCurl
import ControlModel
import Core
import Glibc

/// The control plane's events, followed on the caller's thread: connects, hears, and connects again where it was cut
/// off, so that a control plane that is replaced or killed costs a pause and nothing else. The caller owns the value,
/// whose only state is the number of the last event; it waits on the socket alone.
package struct EventStream {
  package enum Sign: Sendable {
    case event(ControlEvent)
    /// The connection was cut or refused; it is tried again.
    case lost(ClientFailure)
    /// Nothing came for a moment: a chance to look at something else.
    case quiet
  }

  private let client: SocketClient
  private var lastID: String?
  /// No byte for so long, heartbeats included, is a connection that is dead.
  private static let silence: Duration = .seconds(45)
  /// Between two attempts.
  private static let pause: Duration = .milliseconds(500)

  package init(_ client: SocketClient) { self.client = client }

  /// Follows until `heard` returns false. It is called with every event, and several times a second without one.
  package mutating func follow(_ heard: (Sign) -> Bool) {
    while true {
      switch connect(heard) {
      case .ended: return
      case .lost(let failure):
        guard heard(.lost(failure)) else { return }
        let next = client.clock.now() + Self.pause
        while client.clock.now() < next {
          usleep(50_000)
          guard heard(.quiet) else { return }
        }
      }
    }
  }

  private enum End {
    case ended
    case lost(ClientFailure)
  }

  /// One connection, until it or the caller's interest ends.
  private mutating func connect(_ heard: (Sign) -> Bool) -> End {
    var events: [EventParser.Event] = []
    var parser = EventParser()
    var lastByte = client.clock.now()
    let clock = client.clock
    // The closure that libcurl calls lives no longer than this call.
    return withoutActuallyEscaping({ (bytes: UnsafeRawBufferPointer) -> Bool in
      lastByte = clock.now()
      return parser.append(bytes) { events.append($0) }
    }) { received in
      guard
        let multi = curl_multi_init(),
        let transfer = APITransfer(
          method: "GET",
          target: "/api/v1/events" + (lastID.map { "?last_event_id=" + PercentEncoding.encode($0) } ?? ""), body: nil,
          socket: client.socket, streamingTo: received)
      else { return .lost(ClientFailure(.failed, "libcurl cannot be used")) }
      curl_multi_add_handle(multi, UnsafeMutableRawPointer(transfer.easy))
      defer {
        curl_multi_remove_handle(multi, UnsafeMutableRawPointer(transfer.easy))
        curl_multi_cleanup(multi)
      }
      while true {
        var running: Int32 = 0
        guard curl_multi_perform(multi, &running) == CURLM_OK else {
          return .lost(ClientFailure(.failed, "libcurl cannot be used"))
        }
        for event in events {
          if let id = event.id { lastID = id }
          guard let known = try? ControlEvent(name: event.name, data: event.data) else { continue }
          guard heard(.event(known)) else { return .ended }
        }
        events = []
        var code = CURLE_OK
        var finished: UnsafeMutableRawPointer?
        if ccurl_next_finished(multi, &finished, &code) {
          let outcome = transfer.outcome(code)
          if case .answered(200, _, _) = outcome {
            return .lost(ClientFailure(.noControlPlane, "the control plane has ended"))
          }
          return .lost(client.failure(outcome))
        }
        guard clock.now() - lastByte < Self.silence else {
          return .lost(ClientFailure(.failed, "the control plane says nothing any more"))
        }
        guard heard(.quiet) else { return .ended }
        curl_multi_poll(multi, nil, 0, 200, nil)
      }
    }
  }
}
