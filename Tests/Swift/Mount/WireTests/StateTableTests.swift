import CWire
import Testing

/// The transitions of wire.md, written down a second time: every pair of states, for each side, allowed or forbidden.
@Suite struct StateTableTests {
  private static let slotSteps: [fsmvp_side.RawValue: Set<[UInt32]>] = [
    FSMVP_SIDE_SHIM.rawValue: [
      [0, 1], [1, 2], [1, 0], [2, 3], [2, 0], [5, 0], [5, 3], [3, 7], [4, 6], [7, 0],
    ],
    FSMVP_SIDE_CONTROL.rawValue: [[3, 4], [4, 5], [6, 7], [4, 3]],
  ]
  private static let handleSteps: [fsmvp_side.RawValue: Set<[UInt32]>] = [
    FSMVP_SIDE_SHIM.rawValue: [[0, 1], [1, 2], [1, 0], [2, 3], [2, 4], [3, 4]],
    FSMVP_SIDE_CONTROL.rawValue: [[4, 0]],
  ]

  // Past the last state as well: a word may say anything.
  private static let numbers: [UInt32] = Array(0...9) + [255, .max]

  @Test(
    "a slot steps as the table says, and a refused step changes nothing",
    arguments: [FSMVP_SIDE_SHIM, FSMVP_SIDE_CONTROL])
  func slot(side: fsmvp_side) {
    check(side, Self.slotSteps[side.rawValue] ?? [], fsmvp_slot_may, fsmvp_slot_step)
  }

  @Test(
    "a handle steps as the table says, and a refused step changes nothing",
    arguments: [FSMVP_SIDE_SHIM, FSMVP_SIDE_CONTROL])
  func handle(side: fsmvp_side) {
    check(side, Self.handleSteps[side.rawValue] ?? [], fsmvp_handle_may, fsmvp_handle_step)
  }

  private func check(
    _ side: fsmvp_side, _ allowed: Set<[UInt32]>, _ may: (fsmvp_side, UInt32, UInt32) -> Bool,
    _ step: (UnsafeMutablePointer<UInt64>, fsmvp_side, UInt32, UInt32, UInt32) -> Bool
  ) {
    for from in Self.numbers {
      for to in Self.numbers {
        let isAllowed = allowed.contains([from, to])
        #expect(may(side, from, to) == isAllowed, "\(from) -> \(to)")
        for generation in [0, 5, UInt32.max] {
          var word = fsmvp_pack(from, generation)
          #expect(step(&word, side, generation, from, to) == isAllowed, "\(from) -> \(to)")
          let raised = to == 0 ? generation &+ 1 : generation
          #expect(word == (isAllowed ? fsmvp_pack(to, raised) : fsmvp_pack(from, generation)), "\(from) -> \(to)")
          // Another state or another generation than the caller thinks.
          for other in [fsmvp_pack(from ^ 1, generation), fsmvp_pack(from, generation &+ 1)] {
            word = other
            #expect(!step(&word, side, generation, from, to))
            #expect(word == other)
          }
        }
      }
    }
  }

  @Test("a state word's generation wraps to 0 and its state stays whole")
  func wrap() {
    var word = fsmvp_pack(FSMVP_FREE.rawValue, .max - 3)
    var generation = UInt32.max - 3
    for _ in 0..<8 {
      #expect(fsmvp_slot_step(&word, FSMVP_SIDE_SHIM, generation, 0, 1))
      #expect(fsmvp_slot_step(&word, FSMVP_SIDE_SHIM, generation, 1, 0))
      generation &+= 1
      #expect(word == fsmvp_pack(0, generation))
    }
    #expect(generation == 4)
  }
}
