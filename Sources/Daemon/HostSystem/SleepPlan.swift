import Core

/// When the machine is to be kept from going to sleep, as a value: events go in, actions come out. It makes no call and
/// never waits; `SleepInhibitor` does both.
///
/// It is asked for with the first open and given back a moment after the last close, so that a browser that closes a
/// file and opens it again does not make it flap. A refused request is repeated rarely: a machine without logind will
/// not have one a second later.
struct SleepPlan: Equatable {
  enum State: Equatable {
    /// Nothing is held and no request is under way.
    case none
    /// logind was asked. No file has been open since `idle`, so the inhibitor will soon be given back.
    case asking(idle: Moment?)
    /// The machine stays awake; until a moment after `idle`.
    case held(idle: Moment?)
    /// Not asked again before `until`.
    case refused(until: Moment)
  }

  enum Event: Equatable {
    /// The first file was opened.
    case busy
    /// The last one was closed.
    case idle
    case granted
    case failed
    /// `deadline` is over.
    case timer
  }

  enum Action: Equatable {
    case ask
    /// Gives back what was granted.
    case release
  }

  /// How long after the last close it is held on.
  static let linger: Duration = .seconds(2)
  /// Pause after a refusal before logind is asked again.
  static let pause: Duration = .seconds(60)

  private(set) var state = State.none
  private var isBusy = false

  var isHeld: Bool { if case .held = state { true } else { false } }

  /// When `timer` is to come; nil: never.
  var deadline: Moment? {
    switch state {
    case .none, .asking, .held(nil): nil
    case .held(let idle?): idle + Self.linger
    case .refused(let until): until
    }
  }

  mutating func take(_ event: Event, at now: Moment) -> Action? {
    switch event {
    case .busy: isBusy = true
    case .idle: isBusy = false
    case .granted, .failed, .timer: break
    }
    switch (state, event) {
    case (.none, .busy): return ask()
    case (.asking(nil), .idle): state = .asking(idle: now)
    case (.asking, .busy): state = .asking(idle: nil)
    case (.asking(let idle), .granted):
      state = .held(idle: idle)
      return releaseIfOver(now)
    case (.asking, .failed): state = .refused(until: now + Self.pause)
    case (.held(nil), .idle): state = .held(idle: now)
    case (.held, .busy): state = .held(idle: nil)
    case (.held, .timer): return releaseIfOver(now)
    case (.refused(let until), .timer) where now >= until:
      state = .none
      return isBusy ? ask() : nil
    case (.none, .granted): return .release
    default: break
    }
    return nil
  }

  private mutating func ask() -> Action {
    state = .asking(idle: nil)
    return .ask
  }

  private mutating func releaseIfOver(_ now: Moment) -> Action? {
    guard case .held(let idle?) = state, now >= idle + Self.linger else { return nil }
    state = .none
    return .release
  }
}
