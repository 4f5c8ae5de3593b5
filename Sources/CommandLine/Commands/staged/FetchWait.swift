import ControlClient
import ControlModel
import Core
import Syntax
import TerminalUI

/// Waits until a pinned item is fetched completely, and shows a progress bar on a terminal. It follows the events of
/// the control API on the main thread, and its state ends with the call.
enum FetchWait {
  /// So long a control plane may be away before it is given up; one that is replaced is back within seconds.
  private static let patience: Duration = .seconds(30)

  static func run(for item: StagedItem, client: SocketClient) throws(CommandFailure) -> StagedItem {
    var progress = ProgressLine("fetching")
    defer { progress.clear() }
    var state = State(item)
    var stream = EventStream(client)
    stream.follow { sign in
      let now = client.clock.now()
      state.hear(sign, at: now)
      if let gone = state.lostSince, now - gone > patience {
        state.failure =
          state.failure
          ?? CommandFailure(.noControlPlane, "the control plane has ended before all of the file was here")
      }
      progress.show(state.text)
      return !state.isOver
    }
    if let failure = state.failure { throw failure }
    return state.item
  }

  /// The item's last known state, as a value.
  struct State {
    private(set) var item: StagedItem
    var failure: CommandFailure?
    private(set) var lostSince: Moment?

    init(_ item: StagedItem) { self.item = item }

    var isOver: Bool { failure != nil || item.bytesFetched >= item.size }

    var text: StyledText {
      var text = StyledText(ProgressBar.text(item.bytesFetched, of: item.size, columns: 30), .accent)
      text.add(
        " \(ByteCount.percent(item.bytesFetched, of: item.size)) %  \(ByteCount.format(item.bytesFetched)) of "
          + "\(ByteCount.format(item.size))"
      )
      if lostSince != nil { return text + StyledText("  waiting for the control plane", .warning) }
      if let rate = item.fetchRate, rate > 0 { text.add("  \(ByteCount.format(rate))/s") }
      if item.openRef == 0, let seconds = item.etaSeconds {
        text.add("  \(StatusVerb.time(Int(clamping: seconds))) left", .dim)
      }
      return text
    }

    mutating func hear(_ sign: EventStream.Sign, at now: Moment) {
      switch sign {
      case .quiet: break
      case .lost: lostSince = lostSince ?? now
      case .event(let event):
        lostSince = nil
        switch event {
        case .snapshot(let snapshot):
          guard let item = snapshot.items.first(where: { $0.id == item.id }) else { return unstaged() }
          take(item)
        case .item(let item) where item.id == self.item.id: take(item)
        case .gone(let gone) where gone.id == item.id: unstaged()
        default: break
        }
      }
    }

    private mutating func take(_ now: StagedItem) {
      item = now
      if now.state == .failed {
        failure = CommandFailure(
          .service, "it is pinned, but not here: \(now.failure ?? "it is not known why"); `fsmvp pin` tries again")
      } else if now.state == .leaving {
        unstaged()
      } else if !now.pinned {
        failure = CommandFailure(.failed, "it was unpinned before all of it was here")
      }
    }

    private mutating func unstaged() {
      failure = CommandFailure(.noSuchThing, "it was unstaged before all of it was here")
    }
  }
}
