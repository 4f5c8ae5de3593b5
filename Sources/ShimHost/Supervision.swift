import Core
import EventLoop

/// Who serves the mount, who would take over, and what is done about a death. Events go in, actions come out; it knows no process, no clock and no
/// region: shims are numbers (pid and start time), time is the caller's timers and ticks.
///
/// A successor claims the mount by itself, whether we live or not. So all there is to do after a death is to see that one is there, that it does
/// claim, and that there is another one behind it; and to give up where shims die one after another by their own fault.
struct Supervision {
  struct Options: Sendable {
    /// Keep a shim ready beside the one that serves.
    var keepsStandby = true
    /// Ticks in a row without a heartbeat after which the active shim is killed.
    var silentTicks = 10
  }

  enum Limit: Hashable, Sendable { case spawn, claim, drain }

  enum Event: Equatable, Sendable {
    case began
    case spawned(UInt64)
    case notSpawned(String)
    /// A living shim that another control plane started, and that would take over.
    case found(UInt64)
    /// The region names this shim as the active one.
    case seen(UInt64)
    case ended(UInt64, Death)
    /// Half a second has passed, or more: a machine that slept, or a control plane that was stopped, gets one tick for all of it.
    case tick(heartbeat: UInt64)
    /// That timer has run out.
    case due(Limit)
    /// The active shim said what cannot be.
    case distrusted(String)
    /// A successor is to be there now, or another one beside those that are.
    case wanted(another: Bool)
    case drain
  }

  /// What is known of a death: how it came, and what the region says.
  struct Death: Equatable, Sendable {
    var end: LoopProcess.End
    /// Some shim answered something since the death before.
    var hasAnswered = false
    /// A request was in its own hands.
    var heldWork = false
    /// Who is registered as standby.
    var registered: UInt64 = 0
  }

  enum Action: Equatable, Sendable {
    case spawn
    /// Starts that timer, again if it runs.
    case wait(Limit, Duration)
    case kill(UInt64)
    case sayDrain
    /// That shim serves from now on.
    case takenOver(UInt64)
    /// Shims die one after another, for this reason.
    case giveUp(String)
  }

  static let crashLimit = 10
  /// So many ticks of good service and earlier deaths are forgotten.
  static let goodTicks = 60
  private static let claimLimit = Duration.milliseconds(100)
  private static let freshClaimLimit = Duration.seconds(2)
  private static let drainLimit = Duration.seconds(2)

  let options: Options
  /// Nil while none serves.
  private(set) var active: UInt64?
  /// Alive, and not active; with the ticks they have stood.
  private(set) var successors: [UInt64: Int] = [:]
  /// Why it was given up.
  private(set) var failure: String?
  private(set) var crashes = 0
  /// Shims that ended while they only waited, in a row.
  private(set) var idleDeaths = 0

  /// Active until a successor was seen, its end not told yet.
  private var previous: UInt64?
  private var isSpawning = false
  private var heartbeat: UInt64?
  private var ticksSilent = 0
  private var ticksServed = 0
  private var distrust: (who: UInt64, cause: String)?
  private var draining: UInt64?

  init(active: UInt64, options: Options = Options()) {
    self.active = active
    self.options = options
  }

  /// Whether its end is that of a shim which served.
  func serves(_ who: UInt64) -> Bool { who == active || who == previous }

  /// n < 3 deaths in a row: at once; then 100 ms, doubled up to 5 s.
  static func backoff(_ deaths: Int) -> Duration {
    deaths < 3 ? .zero : min(.milliseconds(100 << min(deaths - 3, 6)), .seconds(5))
  }

  mutating func handle(_ event: Event) -> [Action] {
    guard failure == nil else { return [] }
    switch event {
    case .began: return refill()
    case .spawned(let who): return spawned(who)
    case .notSpawned(let cause): return notSpawned(cause)
    case .found(let who): return found(who)
    case .seen(let who): return seen(who)
    case .ended(let who, let death): return ended(who, death)
    case .tick(let heartbeat): return tick(heartbeat)
    case .due(.spawn): return dueSpawn()
    case .due(.claim): return dueClaim()
    case .due(.drain): return dueDrain()
    case .distrusted(let cause): return distrusted(cause)
    case .wanted(let another): return successors.isEmpty || another ? spawn(after: .zero) : []
    case .drain: return drain()
    }
  }

  // MARK: Successors

  private mutating func refill() -> [Action] {
    guard options.keepsStandby, active != nil, successors.isEmpty, !isSpawning else { return [] }
    return spawn(after: Self.backoff(max(crashes, idleDeaths)))
  }

  private mutating func spawn(after delay: Duration) -> [Action] {
    isSpawning = true
    return [.wait(.spawn, delay)]
  }

  private mutating func dueSpawn() -> [Action] {
    guard isSpawning else { return [] }
    isSpawning = false
    return [.spawn]
  }

  private mutating func spawned(_ who: UInt64) -> [Action] {
    successors[who] = 0
    return active == nil ? [.wait(.claim, Self.freshClaimLimit)] : []
  }

  private mutating func notSpawned(_ cause: String) -> [Action] {
    guard active == nil else {
      idleDeaths += 1
      return refill()
    }
    return crashed(cause) ?? (successors.isEmpty ? spawn(after: Self.backoff(crashes)) : [])
  }

  private mutating func found(_ who: UInt64) -> [Action] {
    guard who != active, who != previous, successors[who] == nil else { return [] }
    successors[who] = 0
    return []
  }

  /// It has claimed: the one before has ended, whether we were told or not.
  private mutating func seen(_ who: UInt64) -> [Action] {
    guard who != active, successors.removeValue(forKey: who) != nil else { return [] }
    previous = active
    active = who
    (heartbeat, ticksSilent, ticksServed) = (nil, 0, 0)
    idleDeaths = 0
    return [.takenOver(who)] + refill()
  }

  private mutating func dueClaim() -> [Action] {
    guard active == nil else { return [] }
    // Their ends bring the next one.
    if !successors.isEmpty { return successors.keys.sorted().map { .kill($0) } }
    return isSpawning ? [] : spawn(after: Self.backoff(crashes))
  }

  // MARK: Deaths

  private mutating func ended(_ who: UInt64, _ death: Death) -> [Action] {
    if who == active || who == previous { return servedAndEnded(who, death) }
    guard successors.removeValue(forKey: who) != nil else { return [] }
    guard active == nil else {
      idleDeaths += 1
      return refill()
    }
    // It was to claim and did not.
    return crashed("\(death.end)") ?? (successors.isEmpty ? spawn(after: Self.backoff(crashes)) : [])
  }

  private mutating func servedAndEnded(_ who: UInt64, _ death: Death) -> [Action] {
    if who == active { active = nil } else { previous = nil }
    let blame = distrust.flatMap { $0.who == who ? $0.cause : nil }
    if blame != nil { distrust = nil }
    draining = nil
    // Who answered something, had nothing to answer, or ended by itself and well, died by no fault of its own.
    let isCrash = blame != nil || (death.end != .exited(0) && !death.hasAnswered && death.heldWork)
    if !isCrash {
      crashes = 0
    } else if let actions = crashed(blame ?? "\(death.end)") {
      return actions
    }
    if active != nil { return [] }
    if successors.isEmpty { return spawn(after: Self.backoff(crashes)) }
    return [.wait(.claim, successors[death.registered] != nil ? Self.claimLimit : Self.freshClaimLimit)]
  }

  /// Nil where it goes on.
  private mutating func crashed(_ cause: String) -> [Action]? {
    crashes += 1
    guard crashes >= Self.crashLimit else { return nil }
    let sentence = "\(crashes) shims ended one after another, the last one by this: \(cause)"
    failure = sentence
    return [.giveUp(sentence)]
  }

  private mutating func distrusted(_ cause: String) -> [Action] {
    guard let active, distrust?.who != active else { return [] }
    distrust = (active, cause)
    return [.kill(active)]
  }

  // MARK: Time

  private mutating func tick(_ heartbeat: UInt64) -> [Action] {
    for who in successors.keys { successors[who, default: 0] += 1 }
    if successors.values.contains(where: { $0 >= Self.goodTicks }) { idleDeaths = 0 }
    guard let active else { return [] }
    ticksServed += 1
    if ticksServed >= Self.goodTicks { crashes = 0 }
    guard heartbeat == self.heartbeat else {
      self.heartbeat = heartbeat
      ticksSilent = 0
      return []
    }
    ticksSilent += 1
    guard ticksSilent >= options.silentTicks else { return [] }
    ticksSilent = 0
    return [.kill(active)]
  }

  private mutating func drain() -> [Action] {
    guard let active, !successors.isEmpty else { return [] }
    draining = active
    return [.sayDrain, .wait(.drain, Self.drainLimit)]
  }

  private func dueDrain() -> [Action] {
    guard let active, draining == active else { return [] }
    return [.kill(active)]
  }
}
