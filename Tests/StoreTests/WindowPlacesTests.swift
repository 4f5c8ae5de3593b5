import Core
import Support
import Testing

@testable import Store

@Suite("Window: places")
struct WindowPlacesTests {
  private func key(_ block: Int, file: Int = 1) -> WindowPlaces.Key { .init(file: file, block: block) }

  @Test("what was read longest ago gives way first, then what was fetched longest ago, and nothing that is claimed")
  func victims() {
    var places = WindowPlaces(capacity: 4, limit: 8)
    for block in 0..<4 { #expect(places.allocate(key(block), now: UInt64(block)) == .place(block)) }
    places.read(2, at: 20)
    places.read(3, at: 10)
    places.claim(key(0))
    #expect(places.allocate(key(10), now: 30) == .taken(3, from: key(3)))
    #expect(places.allocate(key(11), now: 31) == .taken(2, from: key(2)))
    #expect(places.allocate(key(12), now: 32) == .taken(1, from: key(1)))
    for block in 10...12 { places.claim(key(block)) }
    #expect(places.allocate(key(13), now: 33) == .none)
    places.claim(key(13))
    #expect(places.allocate(key(13), now: 34) == .place(4))
  }

  @Test("one reader is always let in, however small the window; the next one when there is room")
  func admission() {
    var places = WindowPlaces(capacity: 1, limit: 16)
    let first = (0..<5).map { key($0) }
    #expect(places.admits(first))
    places.enter(first)
    #expect(!places.admits([key(0, file: 2)]))
    // What is claimed already takes no more room.
    #expect(!places.admits([key(3), key(9)]))
    places.leave(first)
    #expect(places.admits([key(0, file: 2)]) && places.claimed == 0)
  }

  @Test("room for speculation is what is free or has been read, less what others will need")
  func room() {
    var places = WindowPlaces(capacity: 4, limit: 8)
    #expect(places.room(now: 100, patience: 50) == 4)
    places.claim(key(9))
    #expect(places.room(now: 100, patience: 50) == 3)
    for block in 0..<3 { _ = places.allocate(key(block), now: 90) }
    #expect(places.room(now: 100, patience: 50) == 0)
    places.read(0, at: 95)
    #expect(places.room(now: 100, patience: 50) == 1)
    #expect(places.room(now: 1000, patience: 50) == 3)
  }

  @Test("whatever comes in whatever order: no place twice, never more than there are, and claimed blocks keep theirs", arguments: 0..<100)
  func model(seed: Int) {
    var random = SplitMix(seed: UInt64(seed))
    let capacity = Int.random(in: 1...12, using: &random)
    var places = WindowPlaces(capacity: capacity, limit: capacity + 6)
    var readers: [[WindowPlaces.Key]] = []
    var known: [WindowPlaces.Key: Int] = [:]
    var now: UInt64 = 0
    for _ in 0..<500 {
      now += 1
      switch Int.random(in: 0..<4, using: &random) {
      case 0:
        let start = Int.random(in: 0..<30, using: &random)
        let keys = (start..<start + Int.random(in: 1...5, using: &random)).map { key($0, file: Int.random(in: 1...3, using: &random)) }
        let set = Array(Set(keys))
        if places.admits(set) {
          places.enter(set)
          readers.append(set)
        } else {
          #expect(!readers.isEmpty, "seed \(seed)")
        }
      case 1:
        if let reader = readers.randomElement(using: &random) {
          for key in reader {
            switch places.allocate(key, now: now) {
            case .none: Issue.record("seed \(seed): no place for a claimed block")
            case .place(let place): known[key] = place
            case .taken(let place, let old):
              #expect(places.claims[old] == nil)
              known[old] = nil
              known[key] = place
            }
          }
        }
      case 2:
        if !readers.isEmpty { places.leave(readers.remove(at: Int.random(in: 0..<readers.count, using: &random))) }
      default:
        if let place = known.values.randomElement(using: &random) { places.read(place, at: now) }
      }
      while let surplus = places.surplus() {
        places.remove(surplus)
        known[surplus] = nil
      }
      for (key, place) in known { #expect(places.place(of: key) == place) }
      #expect(Set(known.values).count == known.count && places.inUse == known.count)
      #expect(places.inUse <= max(capacity, places.claimed))
      // What is kept beside the claims, so that nobody has to look them up, is what they say.
      for case let place? in places.places { #expect(place.isClaimed == (places.claims[place.key] != nil)) }
      #expect(places.unplaced == places.claims.keys.count { places.place(of: $0) == nil })
    }
  }
}
