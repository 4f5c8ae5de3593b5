import ControlRoutes
import Core

/// A text with long lists of JSON in it, made a slice at a time while it is sent: the elements of a slice are taken on
/// the loop, their JSON is written on another thread, and the next slice is taken when the client has room for it. A
/// list costs the memory of one slice, and the loop the time of one. The request's `BodyPump` owns it, or the
/// `EventClient` whose snapshot it is, on the dispatch loop.
@DispatchLoop
final class ListBody: WakingBody {
  enum Section {
    case text([UInt8])
    /// Its elements with commas between them.
    case list(ListSource)
  }

  private enum State {
    /// Nothing of the next slice is here.
    case idle
    case making
    case ready([UInt8])
  }

  /// The first one is being sent.
  private var sections: ArraySlice<Section>
  private var state = State.idle
  /// Whether no element of the section has been sent.
  private var isFirst = true
  /// Called on the loop, out of libmicrohttpd, when `piece` has something after a `later`.
  var ready: () -> Void = {}

  init(_ sections: [Section]) { self.sections = sections[...] }

  /// An array.
  convenience init(_ source: ListSource) {
    self.init([.text([UInt8(ascii: "[")]), .list(source), .text([UInt8(ascii: "]")])])
  }

  func piece() -> BodyPiece {
    switch state {
    case .making: return .later
    case .ready(let bytes):
      state = .idle
      return .bytes(bytes)
    case .idle: break
    }
    switch sections.first {
    case nil: return .end
    case .text(let bytes)?:
      sections.removeFirst()
      return .bytes(bytes)
    case .list(let source)?:
      state = .making
      SliceTurns.add { self.makeSlice(of: source) }
      return .later
    }
  }

  func end() {
    sections = []
    ready = {}
  }

  private func makeSlice(of source: ListSource) {
    guard !sections.isEmpty else { return }
    guard let write = source.next() else {
      sections.removeFirst()
      (state, isFirst) = (.idle, true)
      return ready()
    }
    JSONThread.aside(write) { bytes in
      self.state = .ready((self.isFirst ? [] : [UInt8(ascii: ",")]) + bytes)
      self.isFirst = false
      self.ready()
    }
  }
}

/// A value that may be long, as JSON that is written on another thread.
@DispatchLoop
final class ValueBody: WakingBody {
  private enum State {
    case idle
    case making
    case ready([UInt8])
    case over
  }

  private var state = State.idle
  private let write: @Sendable () -> [UInt8]
  var ready: () -> Void = {}

  init(_ write: @escaping @Sendable () -> [UInt8]) { self.write = write }

  func piece() -> BodyPiece {
    switch state {
    case .idle:
      state = .making
      JSONThread.aside(write) { bytes in
        self.state = .ready(bytes)
        self.ready()
      }
      return .later
    case .making: return .later
    case .ready(let bytes):
      state = .over
      return .bytes(bytes)
    case .over: return .end
    }
  }

  func end() { ready = {} }
}
