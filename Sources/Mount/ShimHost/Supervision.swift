import Core
import EventLoop
import Glibc

/// Decides which shim serves the mount, which would take over, and what is done about a death. Events go in, actions
/// come out; it knows no process, no clock and no region: shims are numbers (pid and start time), time is the caller's
/// timers and ticks.
///
/// A successor claims the mount by itself, whether we live or not. So all there is to do after a death is to see that
/// one is there, that it does claim, and that there is another one behind it; and to give up if shims die one after
/// another by their own fault. A lack of descriptors, memory or tasks is no fault of theirs: it is waited out, however
/// long it takes, and told (`shortage`). `ShimFleet` owns the one value of a mount, on the dispatch loop, and does what
/// it returns.
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
    case notSpawned(Fault)
    /// A living shim that another control plane started, and that would take over.
    case found(UInt64)
    /// The region names this shim as the active one.
    case seen(UInt64)
    case ended(UInt64, Death)
    /// Half a second has passed, or more: a machine that slept, or a control plane that was stopped, gets one tick for
    /// all of it.
    case tick(heartbeat: UInt64)
    /// That timer has run out.
    case due(Limit)
    /// The active shim said what cannot be.
    case distrusted(String)
    /// A successor is to be there now, or another one beside those that are.
    case wanted(another: Bool)
    case drain
  }

  /// Why a shim could not be started, or has ended.
  enum Fault: Equatable, Sendable {
    /// The machine lacked descriptors, memory or tasks.
    case machine(String)
    /// Something outside ended it: a person, the kernel for want of memory, or an unknown cause.
    case outside(String)
    case own(String)

    /// EX_TEMPFAIL, by which a shim says that it could not get descriptors, memory or threads.
    static let temporaryFailure: Int32 = 75
    private static let ownSignals: Set<Int32> = [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, SIGPIPE]

    /// - Parameter wasHung: we killed it, because it gave no sign of life.
    init(_ end: LoopProcess.End, wasHung: Bool) {
      switch end {
      case .exited(Self.temporaryFailure):
        self = .machine("a shim could not get the descriptors, the memory or the threads it needs")
      case .exited: self = .own("\(end)")
      case .signalled(let number):
        self = wasHung || Self.ownSignals.contains(number) ? .own("\(end)") : .outside("\(end)")
      case .unknown: self = wasHung ? .own("\(end)") : .outside("\(end)")
      }
    }

    /// - Parameter error: of the system call that was to start it. ETXTBSY: the program is being replaced.
    init(startFailed error: LoopError) {
      let passing: Set<Int32> = [EAGAIN, ENOMEM, EMFILE, ENFILE, EINTR, ETXTBSY]
      let cause = "it cannot be started (\(error.description))"
      self = passing.contains(abs(error.code)) ? .machine(cause) : .own(cause)
    }
  }

  /// The facts about a death: how it came, and what the region says.
  struct Death: Equatable, Sendable {
    var end: LoopProcess.End
    /// Some shim answered something since the death before.
    var hasAnswered = false
    /// A request was in its own hands.
    var heldWork = false
    /// The shim that is registered as standby; 0: none.
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
  /// A successor that has stood for so many ticks has got what it needs.
  static let standingTicks = 4
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
  /// By the shims' own fault, in a row.
  private(set) var crashes = 0
  /// Starts and claims that failed through no fault of the shim's, in a row. They are waited out with a delay.
  private(set) var hindrances = 0
  /// A sentence that says what the machine lacks, while no shim can be started because of that.
  private(set) var shortage: String?
  /// Shims that ended while they only waited, in a row.
  private(set) var idleDeaths = 0

  /// Active until a successor was seen, its end not told yet.
  private var previous: UInt64?
  private var isSpawning = false
  private var heartbeat: UInt64?
  private var ticksSilent = 0
  private var ticksServed = 0
  private var distrust: (identity: UInt64, cause: String)?
  private var draining: UInt64?
  /// Killed by us because they gave no sign of life or did not claim.
  private var hung: Set<UInt64> = []

  init(active: UInt64, options: Options = Options()) {
    self.active = active
    self.options = options
  }

  /// Whether its end is that of a shim which served.
  func serves(_ identity: UInt64) -> Bool { identity == active || identity == previous }

  /// n < 3 deaths in a row: at once; then 100 ms, doubled up to 5 s.
  static func backoff(_ deaths: Int) -> Duration {
    deaths < 3 ? .zero : min(.milliseconds(100 << min(deaths - 3, 6)), .seconds(5))
  }

  mutating func handle(_ event: Event) -> [Action] {
    guard failure == nil else { return [] }
    switch event {
    case .began: return refill()
    case .spawned(let identity): return spawned(identity)
    case .notSpawned(let fault): return notSpawned(fault)
    case .found(let identity): return found(identity)
    case .seen(let identity): return seen(identity)
    case .ended(let identity, let death): return ended(identity, death)
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
    return spawn(after: Self.backoff(max(crashes, idleDeaths, hindrances)))
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

  private mutating func spawned(_ identity: UInt64) -> [Action] {
    successors[identity] = 0
    return active == nil ? [.wait(.claim, Self.freshClaimLimit)] : []
  }

  private mutating func notSpawned(_ fault: Fault) -> [Action] {
    guard active == nil else {
      note(fault)
      idleDeaths += 1
      return refill()
    }
    return failed(fault) ?? (successors.isEmpty ? spawnAgain() : [])
  }

  private mutating func spawnAgain() -> [Action] { spawn(after: Self.backoff(max(crashes, hindrances))) }

  private mutating func found(_ identity: UInt64) -> [Action] {
    guard identity != active, identity != previous, successors[identity] == nil else { return [] }
    successors[identity] = 0
    return []
  }

  /// It has claimed: the one before has ended, whether we were told or not.
  private mutating func seen(_ identity: UInt64) -> [Action] {
    guard identity != active, successors.removeValue(forKey: identity) != nil else { return [] }
    previous = active
    active = identity
    (heartbeat, ticksSilent, ticksServed) = (nil, 0, 0)
    idleDeaths = 0
    return [.takenOver(identity)] + refill()
  }

  private mutating func dueClaim() -> [Action] {
    guard active == nil else { return [] }
    // Their ends bring the next one.
    if !successors.isEmpty {
      hung.formUnion(successors.keys)
      return successors.keys.sorted().map { .kill($0) }
    }
    return isSpawning ? [] : spawnAgain()
  }

  // MARK: Deaths

  private mutating func ended(_ identity: UInt64, _ death: Death) -> [Action] {
    if identity == active || identity == previous { return servedAndEnded(identity, death) }
    guard successors.removeValue(forKey: identity) != nil else { return [] }
    let fault = Fault(death.end, wasHung: hung.remove(identity) != nil)
    guard active == nil else {
      note(fault)
      idleDeaths += 1
      return refill()
    }
    // It was to claim and did not.
    return failed(fault) ?? (successors.isEmpty ? spawnAgain() : [])
  }

  private mutating func servedAndEnded(_ identity: UInt64, _ death: Death) -> [Action] {
    if identity == active { active = nil } else { previous = nil }
    let blame = distrust.flatMap { $0.identity == identity ? $0.cause : nil }
    if blame != nil { distrust = nil }
    draining = nil
    let fault = Fault(death.end, wasHung: hung.remove(identity) != nil)
    // A shim that answered something, had nothing to answer, or exited with status 0 died by no fault of its own.
    if blame != nil || (death.end != .exited(0) && !death.hasAnswered && death.heldWork) {
      if let actions = failed(blame.map { .own($0) } ?? fault) { return actions }
    } else {
      note(fault)
      crashes = 0
    }
    if active != nil { return [] }
    if successors.isEmpty { return spawnAgain() }
    return [.wait(.claim, successors[death.registered] != nil ? Self.claimLimit : Self.freshClaimLimit)]
  }

  /// Nil where it goes on.
  private mutating func failed(_ fault: Fault) -> [Action]? {
    guard case .own(let cause) = fault else {
      hindrances += 1
      note(fault)
      return nil
    }
    crashes += 1
    guard crashes >= Self.crashLimit else { return nil }
    let sentence = "\(crashes) shims ended one after another, the last one by this: \(cause)"
    failure = sentence
    return [.giveUp(sentence)]
  }

  private mutating func note(_ fault: Fault) {
    guard case .machine(let cause) = fault else { return }
    shortage =
      "no shim can be started for now, as the machine lacks something: \(cause). Raise the limits of open files "
      + "(ulimit -n, LimitNOFILE) and of "
      + "tasks (ulimit -u, TasksMax), or end other programs; it is tried again every few seconds"
  }

  private mutating func distrusted(_ cause: String) -> [Action] {
    guard let active, distrust?.identity != active else { return [] }
    distrust = (active, cause)
    return [.kill(active)]
  }

  // MARK: Time

  private mutating func tick(_ heartbeat: UInt64) -> [Action] {
    for identity in successors.keys { successors[identity, default: 0] += 1 }
    if successors.values.contains(where: { $0 >= Self.goodTicks }) { idleDeaths = 0 }
    let stands = successors.values.contains { $0 >= Self.standingTicks }
    if stands { (hindrances, shortage) = (0, nil) }
    guard let active else { return [] }
    ticksServed += 1
    if ticksServed >= Self.standingTicks {
      hindrances = 0
      if !options.keepsStandby { shortage = nil }
    }
    if ticksServed >= Self.goodTicks { crashes = 0 }
    guard heartbeat == self.heartbeat else {
      self.heartbeat = heartbeat
      ticksSilent = 0
      return []
    }
    ticksSilent += 1
    guard ticksSilent >= options.silentTicks else { return [] }
    ticksSilent = 0
    hung.insert(active)
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
