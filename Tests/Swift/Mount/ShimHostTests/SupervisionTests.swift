import Core
import EventLoop
import Glibc
import Testing

@testable import ShimHost

/// Tables of events and the actions they lead to. Shims are numbers: 1 mounted, the others follow.
@Suite struct SupervisionTests {
  private typealias Step = (event: Supervision.Event, actions: [Supervision.Action])

  private func walk(_ supervision: inout Supervision, _ steps: [Step]) {
    for (index, step) in steps.enumerated() {
      let actions = supervision.handle(step.event)
      #expect(actions == step.actions, "step \(index): \(step.event)")
    }
  }

  /// The death of a shim that had answered, killed from outside.
  private func killed(_ identity: UInt64, registered: UInt64 = 0) -> Supervision.Event {
    .ended(identity, Supervision.Death(end: .signalled(9), hasAnswered: true, heldWork: true, registered: registered))
  }
  /// The death of a shim by the work it held, before it answered anything.
  private func crashed(_ identity: UInt64, registered: UInt64 = 0) -> Supervision.Event {
    .ended(identity, Supervision.Death(end: .signalled(11), hasAnswered: false, heldWork: true, registered: registered))
  }
  private func idle(_ identity: UInt64) -> Supervision.Event { .ended(identity, Supervision.Death(end: .signalled(9))) }
  private func exited(_ identity: UInt64, _ code: Int32) -> Supervision.Event {
    .ended(identity, Supervision.Death(end: .exited(code)))
  }

  @Test("a standby is started, takes over when the active one dies, and another one is put behind it")
  func takeover() {
    var supervision = Supervision(active: 1)
    walk(
      &supervision,
      [
        (.began, [.wait(.spawn, .zero)]), (.due(.spawn), [.spawn]), (.spawned(2), []),
        (killed(1, registered: 2), [.wait(.claim, .milliseconds(100))]),
        (.seen(1), []), (.seen(2), [.takenOver(2), .wait(.spawn, .zero)]), (.seen(2), []), (.due(.claim), []),
        (.due(.spawn), [.spawn]), (.spawned(3), []), (.due(.spawn), []),
      ])
    #expect(supervision.active == 2 && Array(supervision.successors.keys) == [3])
  }

  @Test("a successor that claims before the death is told: the late news changes nothing")
  func claimFirst() {
    var supervision = Supervision(active: 1)
    walk(
      &supervision,
      [
        (.spawned(2), []), (.seen(2), [.takenOver(2), .wait(.spawn, .zero)]), (killed(1), []), (killed(1), []),
        (.due(.spawn), [.spawn]), (.spawned(3), []),
      ])
    #expect(supervision.active == 2)
  }

  @Test("without a standby one is spawned at the death, and has two seconds to claim")
  func noStandby() {
    var supervision = Supervision(active: 1, options: Supervision.Options(keepsStandby: false))
    walk(
      &supervision,
      [
        (.began, []), (killed(1), [.wait(.spawn, .zero)]), (.due(.spawn), [.spawn]),
        (.spawned(2), [.wait(.claim, .seconds(2))]),
        (.seen(2), [.takenOver(2)]), (.tick(heartbeat: 1), []),
      ])
  }

  @Test("a standby that does not claim in time is killed, and at its end another one spawned")
  func noClaim() {
    var supervision = Supervision(active: 1)
    walk(
      &supervision,
      [
        (.spawned(2), []), (killed(1, registered: 2), [.wait(.claim, .milliseconds(100))]), (.due(.claim), [.kill(2)]),
        (idle(2), [.wait(.spawn, .zero)]), (.due(.spawn), [.spawn]), (.spawned(3), [.wait(.claim, .seconds(2))]),
        (.seen(3), [.takenOver(3), .wait(.spawn, .zero)]),
      ])
    #expect(supervision.crashes == 1)
  }

  @Test("one that is not registered yet when the active one dies gets the time of a fresh one")
  func freshStandby() {
    var supervision = Supervision(active: 1)
    walk(&supervision, [(.spawned(2), []), (killed(1, registered: 0), [.wait(.claim, .seconds(2))])])
  }

  @Test("a thousand kills from outside in a row are no crash loop, whatever was in hand")
  func kills() {
    var supervision = Supervision(active: 1)
    for turn in 1...1000 as ClosedRange<UInt64> {
      #expect(supervision.handle(.spawned(turn + 1)) == [])
      let death = turn % 2 == 0 ? killed(turn, registered: turn + 1) : idle(turn)
      #expect(supervision.handle(death).count == 1)
      #expect(supervision.handle(.seen(turn + 1)) == [.takenOver(turn + 1), .wait(.spawn, .zero)])
      #expect(supervision.handle(.due(.spawn)) == [.spawn])
    }
    #expect(supervision.failure == nil && supervision.crashes == 0)
  }

  @Test(
    "the delay after n deaths in a row",
    arguments: [(0, 0), (2, 0), (3, 100), (4, 200), (8, 3200), (9, 5000), (60, 5000)])
  func backoff(deaths: Int, milliseconds: Int) { #expect(Supervision.backoff(deaths) == .milliseconds(milliseconds)) }

  @Test("shims that die of what they hold are given up after the tenth, and nothing is done from then on")
  func crashLoop() {
    var supervision = Supervision(active: 1, options: Supervision.Options(keepsStandby: false))
    for turn in 1...9 as ClosedRange<UInt64> {
      walk(
        &supervision,
        [
          (crashed(turn), [.wait(.spawn, Supervision.backoff(Int(turn)))]), (.due(.spawn), [.spawn]),
          (.spawned(turn + 1), [.wait(.claim, .seconds(2))]), (.seen(turn + 1), [.takenOver(turn + 1)]),
        ])
    }
    #expect(
      supervision.handle(crashed(10)) == [.giveUp("10 shims ended one after another, the last one by this: signal 11")])
    #expect(supervision.failure?.contains("signal 11") == true)
    walk(
      &supervision,
      [(.tick(heartbeat: 1), []), (.due(.spawn), []), (.wanted(another: true), []), (.distrusted("x"), [])])
  }

  @Test(
    "shims that cannot be started, or end without a claim, count too, and a good one in between sets the count back")
  func neverClaimed() {
    var supervision = Supervision(active: 1, options: Supervision.Options(keepsStandby: false))
    walk(
      &supervision,
      [
        (killed(1), [.wait(.spawn, .zero)]), (.notSpawned(.own("no program")), [.wait(.spawn, .zero)]),
        (.notSpawned(.own("no program")), [.wait(.spawn, .zero)]),
        (.notSpawned(.own("no program")), [.wait(.spawn, .milliseconds(100))]),
        (.spawned(2), [.wait(.claim, .seconds(2))]), (exited(2, 3), [.wait(.spawn, .milliseconds(200))]),
        (.spawned(3), [.wait(.claim, .seconds(2))]), (.seen(3), [.takenOver(3)]), (killed(3), [.wait(.spawn, .zero)]),
      ])
    for _ in 1...9 { _ = supervision.handle(.notSpawned(.own("no program"))) }
    #expect(supervision.failure == nil)
    guard case .giveUp(let reason)? = supervision.handle(.notSpawned(.own("no program"))).first else {
      Issue.record("not given up")
      return
    }
    #expect(reason.contains("no program"))
  }

  @Test(
    "what the machine lacks is waited out without end, told while it lasts, and gives no mount up",
    arguments: [true, false])
  func shortage(keepsStandby: Bool) {
    var supervision = Supervision(active: 1, options: Supervision.Options(keepsStandby: keepsStandby))
    #expect(supervision.shortage == nil)
    _ = supervision.handle(killed(1))
    for turn in 1...1000 {
      // Neither one that cannot be started nor one that ends because it cannot get its threads counts.
      let identity = UInt64(turn + 1)
      _ = supervision.handle(.due(.spawn))
      if turn % 2 == 0 { _ = supervision.handle(.spawned(identity)) }
      let event = turn % 2 == 0 ? exited(identity, 75) : .notSpawned(.machine("it cannot be started (EMFILE)"))
      #expect(supervision.handle(event) == [.wait(.spawn, Supervision.backoff(turn))])
      #expect(supervision.failure == nil && supervision.crashes == 0)
      #expect(supervision.shortage?.contains("ulimit -n") == true)
    }
    #expect(supervision.shortage?.contains("could not get the descriptors") == true)
    _ = supervision.handle(.due(.spawn))
    walk(&supervision, [(.spawned(5000), [.wait(.claim, .seconds(2))])])
    #expect(supervision.handle(.seen(5000)).first == .takenOver(5000))
    if keepsStandby { _ = supervision.handle(.spawned(5001)) }
    for beat in 1...UInt64(Supervision.standingTicks) {
      #expect(supervision.shortage != nil)
      _ = supervision.handle(.tick(heartbeat: beat))
    }
    #expect(supervision.shortage == nil && supervision.hindrances == 0)
  }

  @Test("while a shim serves and no standby can be started, that is told, and earlier crashes are no part of it")
  func shortageOfStandbys() {
    var supervision = Supervision(active: 1)
    _ = supervision.handle(.began)
    for _ in 0..<100 {
      #expect(supervision.handle(.due(.spawn)) == [.spawn])
      #expect(supervision.handle(.notSpawned(.machine("EAGAIN"))).count == 1)
      _ = supervision.handle(.tick(heartbeat: UInt64.random(in: 1 ... .max)))
    }
    #expect(supervision.active == 1 && supervision.failure == nil && supervision.crashes == 0)
    #expect(supervision.shortage?.contains("EAGAIN") == true)
  }

  @Test(
    "whose fault an end is",
    arguments: [
      (.exited(75), false, "machine"), (.exited(3), false, "own"), (.exited(1), false, "own"),
      (.signalled(SIGSEGV), false, "own"),
      (.signalled(SIGABRT), false, "own"), (.signalled(SIGBUS), false, "own"), (.signalled(SIGSYS), false, "own"),
      (.signalled(SIGKILL), false, "outside"), (.signalled(SIGTERM), false, "outside"),
      (.signalled(SIGINT), false, "outside"),
      (.signalled(SIGKILL), true, "own"), (.unknown, false, "outside"), (.unknown, true, "own"),
    ] as [(LoopProcess.End, Bool, String)])
  func fault(end: LoopProcess.End, wasHung: Bool, whose: String) {
    #expect("\(Supervision.Fault(end, wasHung: wasHung))".hasPrefix(whose))
  }

  @Test(
    "whose fault a failed start is",
    arguments: [
      (EAGAIN, "machine"), (ENOMEM, "machine"), (EMFILE, "machine"), (ENFILE, "machine"), (ETXTBSY, "machine"),
      (ENOENT, "own"),
      (EACCES, "own"), (ENOEXEC, "own"), (EPERM, "own"),
    ])
  func startFault(code: Int32, whose: String) {
    #expect("\(Supervision.Fault(startFailed: LoopError(code: -code)))".hasPrefix(whose))
  }

  @Test(
    "shims killed from outside before they answered anything are no crash loop, but are not started without a pause")
  func killedBeforeAnswering() {
    var supervision = Supervision(active: 1, options: Supervision.Options(keepsStandby: false))
    for turn in 1...100 as ClosedRange<UInt64> {
      let death = Supervision.Death(end: .signalled(SIGKILL), hasAnswered: false, heldWork: true)
      #expect(supervision.handle(.ended(turn, death)) == [.wait(.spawn, Supervision.backoff(Int(turn)))])
      _ = supervision.handle(.due(.spawn))
      _ = supervision.handle(.spawned(turn + 1))
      _ = supervision.handle(.seen(turn + 1))
    }
    #expect(supervision.failure == nil && supervision.crashes == 0)
  }

  @Test("half a minute of good service and earlier crashes are forgotten")
  func forgiven() {
    var supervision = Supervision(active: 1, options: Supervision.Options(keepsStandby: false))
    for turn in 1...5 as ClosedRange<UInt64> {
      _ = supervision.handle(crashed(turn))
      _ = supervision.handle(.spawned(turn + 1))
      _ = supervision.handle(.seen(turn + 1))
    }
    #expect(supervision.crashes == 5)
    for beat in 1...UInt64(Supervision.goodTicks) { #expect(supervision.handle(.tick(heartbeat: beat)) == []) }
    #expect(supervision.crashes == 0)
  }

  @Test(
    "a standby that dies while idle is replaced with a delay of its own, which a takeover or a standby that stands ends"
  )
  func idleDeaths() {
    var supervision = Supervision(active: 1)
    for (turn, milliseconds) in [0, 0, 100, 200].enumerated() {
      let identity = UInt64(turn + 2)
      walk(
        &supervision,
        [
          (.spawned(identity), []), (idle(identity), [.wait(.spawn, .milliseconds(milliseconds))]),
          (.due(.spawn), [.spawn]),
        ])
    }
    #expect(supervision.crashes == 0 && supervision.idleDeaths == 4)
    _ = supervision.handle(.spawned(9))
    for beat in 1...UInt64(Supervision.goodTicks) { _ = supervision.handle(.tick(heartbeat: beat)) }
    walk(&supervision, [(idle(9), [.wait(.spawn, .zero)]), (.due(.spawn), [.spawn]), (.spawned(10), [])])
    #expect(supervision.idleDeaths == 1)
    _ = supervision.handle(.seen(10))
    #expect(supervision.idleDeaths == 0)
  }

  @Test("a heartbeat that stands still for that many ticks in a row is a hung shim; one that moves in between is none")
  func heartbeat() {
    var supervision = Supervision(active: 1, options: Supervision.Options(keepsStandby: false, silentTicks: 3))
    walk(
      &supervision,
      [
        (.tick(heartbeat: 5), []), (.tick(heartbeat: 5), []), (.tick(heartbeat: 5), []), (.tick(heartbeat: 6), []),
        (.tick(heartbeat: 6), []), (.tick(heartbeat: 6), []), (.tick(heartbeat: 6), [.kill(1)]),
        (.tick(heartbeat: 6), []), (idle(1), [.wait(.spawn, .zero)]), (.tick(heartbeat: 6), []),
        (.tick(heartbeat: 6), []),
        // Its successor is not blamed for what stood still before it.
        (.spawned(2), [.wait(.claim, .seconds(2))]), (.seen(2), [.takenOver(2)]), (.tick(heartbeat: 6), []),
        (.tick(heartbeat: 6), []),
      ])
  }

  @Test("a shim that is not trusted is killed once, and its death is a crash although it had answered")
  func distrust() {
    var supervision = Supervision(active: 1)
    walk(
      &supervision,
      [
        (.spawned(2), []), (.distrusted("it lies"), [.kill(1)]), (.distrusted("it lies again"), []),
        (killed(1, registered: 2), [.wait(.claim, .milliseconds(100))]),
        (.seen(2), [.takenOver(2), .wait(.spawn, .zero)]),
      ])
    #expect(supervision.crashes == 1)
    walk(&supervision, [(.distrusted("it lies"), [.kill(2)]), (.seen(1), [])])
  }

  @Test(
    "to drain, a successor must be there; an active one that does not end in time is killed; its end by itself is no crash"
  )
  func drain() {
    var supervision = Supervision(active: 1, options: Supervision.Options(keepsStandby: false))
    walk(
      &supervision,
      [
        (.drain, []), (.wanted(another: false), [.wait(.spawn, .zero)]), (.due(.spawn), [.spawn]), (.spawned(2), []),
        (.wanted(another: false), []), (.drain, [.sayDrain, .wait(.drain, .seconds(2))]), (.due(.drain), [.kill(1)]),
        (
          .ended(1, Supervision.Death(end: .exited(0), heldWork: true, registered: 2)),
          [.wait(.claim, .milliseconds(100))]
        ),
        (.due(.drain), []), (.seen(2), [.takenOver(2)]), (.due(.drain), []),
      ])
    #expect(supervision.crashes == 0)
  }

  @Test("a second successor can be had beside the first, and either may claim")
  func two() {
    var supervision = Supervision(active: 1)
    walk(
      &supervision,
      [
        (.found(2), []), (.found(2), []), (.found(1), []), (.began, []),
        (.wanted(another: true), [.wait(.spawn, .zero)]),
        (.due(.spawn), [.spawn]), (.spawned(3), []), (idle(2), []),
        (killed(1, registered: 3), [.wait(.claim, .milliseconds(100))]),
        (.seen(3), [.takenOver(3), .wait(.spawn, .zero)]),
      ])
  }
}
