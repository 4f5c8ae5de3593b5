import ByteSource
import Core
import Testing

@testable import Store

@Suite("Source version")
struct SourceVersionTests {
  static let a = Validator(etag: "\"a\"", lastModified: "Mon")
  static let b = Validator(etag: "\"b\"", lastModified: "Mon")
  static let dated = Validator(lastModified: "Mon")
  static let silent = Validator()
  static let overlap = ByteRange(0, 100)

  /// Readers have bytes that came under `validator`.
  static func given(_ validator: Validator) -> SourceVersion {
    var version = SourceVersion()
    _ = version.judge(validator, of: 1, isAlone: true)
    version.given()
    version.forget(1)
    return version
  }

  @Test("the first answer decides which version the file is of", arguments: [a, dated, silent])
  func first(validator: Validator) {
    var version = SourceVersion()
    #expect(version.judge(validator, of: 1, isAlone: true) == .same)
    #expect(version.isSettled && version.accepted == [validator] && version.pinning == 1)
  }

  @Test("a strong ETag that was accepted decides by itself, whatever the date says; nothing else does")
  func agreement() {
    for (had, found, isSame) in [
      (Self.a, Self.a, true), (Self.a, Validator(etag: "\"a\"", lastModified: "Tue"), true), (Self.a, Self.b, false),
      (Self.a, Self.dated, false), (Self.a, Self.silent, false), (Self.dated, Self.dated, false),
      (Self.dated, Self.a, false),
      (Self.silent, Self.silent, false), (Self.silent, Self.a, false),
    ] {
      var version = Self.given(had)
      #expect(version.judge(found, of: 2, isAlone: true) == (isSame ? .same : .compare), "\(had) then \(found)")
      #expect(version.isSettled == isSame)
    }
  }

  @Test(
    "an answer is believed once an overlap that came later under its validator is equal", arguments: [b, dated, silent])
  func equal(validator: Validator) {
    var version = Self.given(Self.a)
    #expect(version.judge(validator, of: 2, isAlone: false) == .compare)
    version.compare([Self.overlap, ByteRange(500, 600)])
    for id in [3, 4] {
      #expect(version.nextOverlap != nil)
      version.requested(id)
      #expect(version.headCame(id, validator) == .compare)
      version.ended(id, isComplete: true)
      #expect(version.compared(isEqual: true) == (id == 3 ? .goesOn : .decided(.same, [2])))
    }
    #expect(version.isSettled && version.accepted == [Self.a, validator] && version.pinning == 1)
    #expect(version.judge(validator, of: 5, isAlone: false) == (validator.etag == nil ? .compare : .same))
  }

  @Test("other bytes are asked for again before they are believed, and then with one comparison")
  func differ() {
    var version = Self.given(Self.a)
    func compare(_ id: Int, isEqual: Bool) -> SourceVersion.Outcome {
      _ = version.judge(Self.b, of: id, isAlone: false)
      version.compare([Self.overlap])
      version.requested(id + 1)
      _ = version.headCame(id + 1, Self.b)
      version.ended(id + 1, isComplete: true)
      return version.compared(isEqual: isEqual)
    }
    #expect(compare(2, isEqual: false) == .decided(.compare, [2]))
    #expect(compare(4, isEqual: false) == .decided(.refuse(.bytesDiffer), [4]))
    #expect(compare(6, isEqual: false) == .decided(.refuse(.bytesDiffer), [6]))
    #expect(version.judge(Self.a, of: 8, isAlone: false) == .same, "the origin is right again")
    #expect(compare(10, isEqual: false) == .decided(.compare, [10]), "and what was believed is forgotten")
    #expect(compare(12, isEqual: true) == .decided(.same, [12]))
  }

  @Test("an answer whose validator does not show itself again is stray")
  func stray() {
    var version = Self.given(Self.a)
    _ = version.judge(Self.b, of: 2, isAlone: false)
    version.compare([Self.overlap])
    for id in 3..<3 + SourceVersion.triesLimit {
      version.requested(id)
      _ = version.headCame(id, Self.a)
      version.ended(id, isComplete: true)
      #expect(version.compared(isEqual: true) == (id < 2 + SourceVersion.triesLimit ? .goesOn : .stray([2])))
    }
    #expect(version.isSettled && version.accepted == [Self.a])
  }

  @Test("an origin with another ETag in each answer is taken for one that says nothing")
  func erratic() {
    var version = Self.given(Self.a)
    var id = 2
    func tag() -> Validator { Validator(etag: "\"\(id)\"") }
    _ = version.judge(tag(), of: id, isAlone: false)
    version.compare([Self.overlap])
    for _ in 0..<SourceVersion.triesLimit {
      id += 1
      version.requested(id)
      _ = version.headCame(id, tag())
      version.ended(id, isComplete: true)
      _ = version.compared(isEqual: true)
    }
    id += 1
    #expect(version.judge(tag(), of: id, isAlone: false) == .compare)
    let suspect = id
    version.compare([Self.overlap])
    id += 1
    version.requested(id)
    _ = version.headCame(id, tag())
    version.ended(id, isComplete: true)
    #expect(version.compared(isEqual: true) == .decided(.same, [suspect]))
  }

  @Test("with nothing left to compare only an accepted strong ETag helps; an unknown version is not believed")
  func nothingLeft() {
    var known = SourceVersion(given: SourceHeritage(words: [Self.a.word]))
    #expect(known.judge(Self.a, of: 1, isAlone: true) == .same)
    #expect(known.accepted == [Self.a], "a second death has to know it too")
    #expect(known.judge(Self.b, of: 2, isAlone: true) == .compare)
    #expect(known.hadNothingToCompare() == .decided(.compare, [2]), "another edge may show it")
    #expect(known.judge(Self.dated, of: 3, isAlone: true) == .compare)
    #expect(known.hadNothingToCompare() == .decided(.refuse(.nothingToCompare), [3]))
    for word in [Self.dated.word, Self.silent.word] {
      var unknown = SourceVersion(given: SourceHeritage(words: [word]))
      for validator in [Self.a, Self.dated, Self.silent] {
        #expect(unknown.judge(validator, of: 1, isAlone: true) == .compare)
        #expect(unknown.hadNothingToCompare() == .decided(.refuse(.nothingToCompare), [1]))
      }
    }
    var none = SourceVersion(given: SourceHeritage(words: [0]))
    #expect(none.judge(Self.silent, of: 1, isAlone: true) == .same, "no reader has a byte")
  }

  @Test("bytes that no reader has give way without an error")
  func notGiven() {
    var version = SourceVersion()
    _ = version.judge(Self.a, of: 1, isAlone: true)
    #expect(
      version.judge(Self.b, of: 2, isAlone: true) == .startAfresh && version.accepted == [Self.b]
        && version.pinning == 2)
    var left = SourceVersion(left: [Self.a])
    #expect(left.wantsHead && !left.isSettled)
    left.requested(1)
    #expect(left.headCame(1, Self.b) == .compare && left.wantsOverlaps)
    left.compare([Self.overlap, ByteRange(500, 600)])
    left.requested(2)
    _ = left.headCame(2, Self.b)
    left.ended(2, isComplete: true)
    #expect(left.compared(isEqual: true) == .goesOn)
    left.requested(3)
    #expect(left.headCame(3, Self.dated) == .startAfresh, "it changed between two overlaps")
    #expect(left.isSettled && !left.isLeft)
  }

  @Test("three answers in a row with another length are believed, and one with the right one is an end of it")
  func length() {
    var version = Self.given(Self.a)
    #expect(version.lengthDiffers(5) == .compare && version.lengthDiffers(5) == .compare)
    #expect(version.judge(Self.a, of: 2, isAlone: false) == .same)
    #expect(version.lengthDiffers(5) == .compare && version.lengthDiffers(5) == .compare)
    #expect(version.lengthDiffers(5) == .refuse(.length(5)) && version.lengthDiffers(5) == .refuse(.length(5)))
  }

  @Test("a request that ends is no suspect any more, and a comparison for it alone is not made")
  func forget() {
    var version = Self.given(Self.a)
    _ = version.judge(Self.b, of: 2, isAlone: false)
    version.compare([Self.overlap])
    version.forget(2)
    #expect(version.isSettled && version.nextOverlap == nil)
    _ = version.judge(Self.b, of: 3, isAlone: false)
    version.compare([Self.overlap])
    version.requested(4)
    #expect(version.endRequests() == 4 && version.isSettled)
  }

  @Test("an overlap that came in parts under two validators proves nothing, in whatever order")
  func overlapInParts() {
    for heads in [[Self.a, Self.b], [Self.b, Self.a], [Self.b, Self.a, Self.b]] {
      var version = Self.given(Self.a)
      _ = version.judge(Self.b, of: 2, isAlone: false)
      version.compare([Self.overlap])
      version.requested(3)
      for head in heads { #expect(version.headCame(3, head) == .compare) }
      version.ended(3, isComplete: true)
      #expect(version.compared(isEqual: true) == .goesOn && version.accepted == [Self.a], "\(heads)")
      version.requested(4)
      _ = version.headCame(4, Self.b)
      version.ended(4, isComplete: true)
      #expect(version.compared(isEqual: true) == .decided(.same, [2]) && version.accepted == [Self.a, Self.b])
    }
  }

  @Test("a recheck answered in parts under several validators accepts none of them, and ends")
  func recheckInParts() {
    var version = Self.given(Self.a)
    let begins = version.recheck(Self.overlap, few: [], all: [])
    #expect(begins)
    var ends: [SourceVersion.Outcome] = []
    for id in 1...SourceVersion.triesLimit where version.isRechecking {
      version.requested(id)
      _ = version.headCame(id, Self.dated)
      _ = version.headCame(id, Self.b)
      version.ended(id, isComplete: true)
      ends.append(version.compared(isEqual: true))
    }
    #expect(ends.last == .rechecked(isChanged: false) && ends.dropLast().allSatisfy { $0 == .goesOn })
    #expect(version.accepted == [Self.a] && version.isSettled)
  }

  @Test(
    "a validator that names something new beside what is known claims another version",
    arguments: [
      (Validator(etag: "\"b\"", lastModified: "then"), .partly),
      (Validator(etag: "\"b\"", lastModified: "now"), .wholly),
      (Validator(lastModified: "now"), .wholly), (Validator(lastModified: "then"), .none), (Validator(), .none),
      (Validator(weak: "W/\"b\"", lastModified: "then"), .none), (Validator(etag: "\"b\""), .wholly),
    ] as [(Validator, SourceVersion.Claim)])
  func claims(found: Validator, claim: SourceVersion.Claim) {
    var version = Self.given(Validator(etag: "\"a\"", lastModified: "then"))
    _ = version.judge(found, of: 2, isAlone: false)
    #expect(version.claim == claim)
  }

  @Test(
    "a weak ETag that differs from a known one is a claim, and an overlap under the known one proves nothing for it")
  func weak() {
    let (old, new) = (Validator(weak: "W/\"a\""), Validator(weak: "W/\"b\""))
    var version = Self.given(old)
    _ = version.judge(new, of: 2, isAlone: false)
    #expect(version.claim == .wholly)
    version.compare([Self.overlap])
    version.requested(3)
    _ = version.headCame(3, old)
    version.ended(3, isComplete: true)
    #expect(version.compared(isEqual: true) == .goesOn, "the origin still has both")
  }

  @Test(
    "a recheck under a validator that claims nothing compares little, and else all that it was given",
    arguments: [(Self.dated, 1), (Validator(lastModified: "later"), 3)])
  func recheckOfAClaim(found: Validator, compared: Int) {
    var version = Self.given(Self.dated)
    let all = (0..<3).map { ByteRange(Int64($0) * 100, Int64($0) * 100 + 10) }
    let begins = version.recheck(ByteRange(0, 1), few: [all[0]], all: all)
    #expect(begins)
    var ends: [SourceVersion.Outcome] = []
    while version.isRechecking, version.nextOverlap != nil {
      version.requested(ends.count + 5)
      _ = version.headCame(ends.count + 5, found)
      version.ended(ends.count + 5, isComplete: true)
      ends.append(version.compared(isEqual: true))
    }
    #expect(ends.count == compared + 1 && ends.last == .rechecked(isChanged: false))
  }

  @Test("an origin with another date in each answer is one that says nothing of versions")
  func erraticDates() {
    var version = Self.given(Self.dated)
    _ = version.judge(Validator(lastModified: "1"), of: 2, isAlone: false)
    version.compare([Self.overlap])
    var last = SourceVersion.Outcome.goesOn
    for id in 3..<3 + SourceVersion.triesLimit {
      version.requested(id)
      _ = version.headCame(id, Validator(lastModified: "\(id)"))
      version.ended(id, isComplete: true)
      last = version.compared(isEqual: true)
    }
    #expect(last == .stray([2]))
    _ = version.judge(Validator(lastModified: "20"), of: 20, isAlone: false)
    version.compare([Self.overlap])
    version.requested(21)
    _ = version.headCame(21, Validator(lastModified: "21"))
    version.ended(21, isComplete: true)
    #expect(version.compared(isEqual: true) == .decided(.same, [20]))
  }

  @Test("the words of strong ETags are odd, all others say nothing, and none is 0")
  func words() {
    #expect(Self.a.word & 1 == 1 && Self.a.word != Self.b.word && Self.dated.word == 2 && Self.silent.word == 2)
  }
}
