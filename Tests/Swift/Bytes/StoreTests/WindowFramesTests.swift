import Core
import Support
import Testing

@testable import Store

@Suite("Window: frames")
struct WindowFramesTests {
  private func key(_ block: Int, file: Int = 1) -> WindowFrames.Key { .init(file: file, block: block) }

  @Test("what was read longest ago gives way first, then what was fetched longest ago, and nothing that is claimed")
  func victims() {
    var frames = WindowFrames(capacity: 4, limit: 8)
    for block in 0..<4 { #expect(frames.allocate(key(block), now: UInt64(block)) == .frame(block)) }
    frames.read(2, at: 20)
    frames.read(3, at: 10)
    frames.claim(key(0))
    #expect(frames.allocate(key(10), now: 30) == .taken(3, from: key(3)))
    #expect(frames.allocate(key(11), now: 31) == .taken(2, from: key(2)))
    #expect(frames.allocate(key(12), now: 32) == .taken(1, from: key(1)))
    for block in 10...12 { frames.claim(key(block)) }
    #expect(frames.allocate(key(13), now: 33) == .none)
    frames.claim(key(13))
    #expect(frames.allocate(key(13), now: 34) == .frame(4))
  }

  @Test("one reader is always let in, however small the window; the next one when there is room")
  func admission() {
    var frames = WindowFrames(capacity: 1, limit: 16)
    let first = (0..<5).map { key($0) }
    #expect(frames.admits(first))
    frames.enter(first)
    #expect(!frames.admits([key(0, file: 2)]))
    // Blocks that are claimed already take no more room.
    #expect(!frames.admits([key(3), key(9)]))
    frames.leave(first)
    #expect(frames.admits([key(0, file: 2)]) && frames.claimed == 0)
  }

  @Test("room for speculation is what is free or has been read, less what others will need")
  func room() {
    var frames = WindowFrames(capacity: 4, limit: 8)
    #expect(frames.room(now: 100, patience: 50) == 4)
    frames.claim(key(9))
    #expect(frames.room(now: 100, patience: 50) == 3)
    for block in 0..<3 { _ = frames.allocate(key(block), now: 90) }
    #expect(frames.room(now: 100, patience: 50) == 0)
    frames.read(0, at: 95)
    #expect(frames.room(now: 100, patience: 50) == 1)
    #expect(frames.room(now: 1000, patience: 50) == 3)
  }

  @Test(
    "whatever comes in whatever order: no frame twice, never more than there are, and claimed blocks keep theirs",
    arguments: 0..<100)
  func model(seed: Int) {
    var random = SplitMix(seed: UInt64(seed))
    let capacity = Int.random(in: 1...12, using: &random)
    var frames = WindowFrames(capacity: capacity, limit: capacity + 6)
    var readers: [[WindowFrames.Key]] = []
    var known: [WindowFrames.Key: Int] = [:]
    var now: UInt64 = 0
    for _ in 0..<500 {
      now += 1
      switch Int.random(in: 0..<4, using: &random) {
      case 0:
        let start = Int.random(in: 0..<30, using: &random)
        let keys = (start..<start + Int.random(in: 1...5, using: &random)).map {
          key($0, file: Int.random(in: 1...3, using: &random))
        }
        let set = Array(Set(keys))
        if frames.admits(set) {
          frames.enter(set)
          readers.append(set)
        } else {
          #expect(!readers.isEmpty, "seed \(seed)")
        }
      case 1:
        if let reader = readers.randomElement(using: &random) {
          for key in reader {
            switch frames.allocate(key, now: now) {
            case .none: Issue.record("seed \(seed): no frame for a claimed block")
            case .frame(let frame): known[key] = frame
            case .taken(let frame, let old):
              #expect(frames.claims[old] == nil)
              known[old] = nil
              known[key] = frame
            }
          }
        }
      case 2:
        if !readers.isEmpty { frames.leave(readers.remove(at: Int.random(in: 0..<readers.count, using: &random))) }
      default:
        if let frame = known.values.randomElement(using: &random) { frames.read(frame, at: now) }
      }
      while let surplus = frames.surplus() {
        frames.remove(surplus)
        known[surplus] = nil
      }
      for (key, frame) in known { #expect(frames.frame(of: key) == frame) }
      #expect(Set(known.values).count == known.count && frames.inUse == known.count)
      #expect(frames.inUse <= max(capacity, frames.claimed))
      // The flags and counts kept beside the claims, which save a look-up, agree with them.
      for case let frame? in frames.frames { #expect(frame.isClaimed == (frames.claims[frame.key] != nil)) }
      #expect(frames.unplaced == frames.claims.keys.count { frames.frame(of: $0) == nil })
    }
  }
}
