import Core
import Support
import Testing

@testable import HostSystem

@Suite("When the machine is kept awake")
struct SleepPlanTests {
  private static let start = Moment(nanoseconds: 1_000_000_000_000)
  private static func at(_ seconds: Double) -> Moment { start + .nanoseconds(Int64(seconds * 1e9)) }

  /// An event, its time in seconds from the start, and the action that it must cause.
  struct Step: CustomStringConvertible, Sendable {
    var time: Double
    var event: SleepPlan.Event
    var action: SleepPlan.Action?
    var description: String { "\(time) \(event) \(action.map { "\($0)" } ?? "-")" }

    init(_ time: Double, _ event: SleepPlan.Event, _ action: SleepPlan.Action? = nil) {
      (self.time, self.event, self.action) = (time, event, action)
    }
  }

  @Test(
    "what happens and what is done",
    arguments: [
      (
        "an upload",
        [.init(0, .busy, .ask), .init(1, .granted), .init(9, .idle), .init(10, .timer), .init(11, .timer, .release)],
        false
      ),
      ("held meanwhile", [.init(0, .busy, .ask), .init(1, .granted)], true),
      (
        "a quick reopen",
        [.init(0, .busy, .ask), .init(1, .granted), .init(2, .idle), .init(3, .busy), .init(4.5, .timer)], true
      ),
      (
        "a look: closed before the answer",
        [.init(0, .busy, .ask), .init(0.1, .idle), .init(1, .granted), .init(2.2, .timer, .release)],
        false
      ),
      (
        "closed long before the answer", [.init(0, .busy, .ask), .init(0.1, .idle), .init(9, .granted, .release)], false
      ),
      (
        "closed and opened again before the answer",
        [.init(0, .busy, .ask), .init(0.1, .idle), .init(5, .busy), .init(9, .granted), .init(20, .timer)], true
      ),
      (
        "refused",
        [
          .init(0, .busy, .ask), .init(1, .failed), .init(2, .idle), .init(3, .busy), .init(60, .timer),
          .init(61, .timer, .ask),
        ], false
      ),
      (
        "refused, and nobody wants it any more",
        [.init(0, .busy, .ask), .init(1, .failed), .init(2, .idle), .init(61, .timer), .init(70, .busy, .ask)], false
      ),
      (
        "refused, then granted",
        [.init(0, .busy, .ask), .init(1, .failed), .init(61, .timer, .ask), .init(62, .granted)], true
      ),
      ("granted out of nowhere", [.init(0, .granted, .release)], false),
      ("nothing", [.init(0, .idle), .init(1, .timer), .init(2, .failed)], false),
    ] as [(String, [Step], Bool)])
  func table(name: String, steps: [Step], isHeld: Bool) {
    var plan = SleepPlan()
    for step in steps { #expect(plan.take(step.event, at: Self.at(step.time)) == step.action, "\(name): \(step)") }
    #expect(plan.isHeld == isHeld, "\(name)")
  }

  @Test(
    "whatever happens: asked one at a time, never released twice, and nothing stays held of what is idle",
    arguments: 1...50)
  func random(seed: UInt64) {
    var dice = SplitMix(seed: seed)
    var plan = SleepPlan()
    var (time, isAsked, isHeld, isBusy) = (0.0, false, false, false)
    var asks = 0
    func take(_ event: SleepPlan.Event) {
      switch plan.take(event, at: Self.at(time)) {
      case .ask:
        #expect(!isAsked && !isHeld && isBusy, "seed \(seed)")
        isAsked = true
        asks += 1
      case .release:
        #expect(isHeld && !isBusy, "seed \(seed)")
        isHeld = false
      case nil: break
      }
      #expect(plan.isHeld == isHeld, "seed \(seed)")
    }
    for _ in 0..<500 {
      time += Double.random(in: 0..<3, using: &dice)
      if let deadline = plan.deadline, deadline <= Self.at(time) { take(.timer) }
      switch Int.random(in: 0..<4, using: &dice) {
      case 0 where isAsked:
        isAsked = false
        if Int.random(in: 0..<4, using: &dice) == 0 {
          take(.failed)
        } else {
          isHeld = true
          take(.granted)
        }
      case 1, 2:
        isBusy.toggle()
        take(isBusy ? .busy : .idle)
      default: break
      }
    }
    // Everything is closed, and every answer comes: some seconds later nothing is held.
    if isBusy {
      isBusy = false
      take(.idle)
    }
    if isAsked {
      isHeld = true
      take(.granted)
    }
    while let deadline = plan.deadline {
      time = max(time, (deadline - Self.start).seconds + 0.001)
      take(.timer)
    }
    #expect(plan.state == .none && !isHeld, "seed \(seed)")
    #expect(asks > 0)
  }
}
