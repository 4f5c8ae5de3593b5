import ByteSource
import Core

// Long because the steps of one decision share private state, which no other file may touch.

/// Decides whether an answer's bytes are of the version of the file that readers have bytes of. A pure value; the only
/// owner of that question.
///
/// A strong ETag that was accepted before decides by itself. Every other answer (another strong ETag, a weak one, a
/// date, nothing at all) is a suspect: it is held back, and bytes that are here are fetched once more by a later
/// request and compared (an overlap). If the overlap comes under the suspect's validator and its bytes are equal, the
/// suspect is of the same version, because an origin does not go back to an earlier one. A validator that differs from
/// those of this version claims that the bytes differ, so more of them are compared (docs/adr/0043). If they differ,
/// the origin is asked again over a new access before that is believed. The file's `FetchPlan` has it.
struct SourceVersion: Equatable {
  enum Verdict: Equatable {
    case same
    /// Overlaps are to be compared first; or, after a comparison, the origin is to be asked again.
    case compare
    /// No reader has a byte of the earlier version: what there is of it is dropped, and the next answer decides.
    case startAfresh
    case refuse(Refusal)
  }
  enum Refusal: Equatable {
    case bytesDiffer
    case nothingToCompare
    case length(Int64)
  }

  /// More validators than this for equal bytes say nothing: the origin makes a new one for each answer.
  static let acceptedLimit = 8
  /// Comparisons that have to find other bytes before a change is believed.
  static let contradictionLimit = 2
  /// Answers that have to name another length before it is believed.
  static let lengthLimit = 3
  /// Requests for one overlap until one comes under the suspect's validator.
  static let triesLimit = 4

  /// Whether an answer's validator says that its bytes are of another version than those here.
  enum Claim: Equatable {
    case none
    /// Some of its parts are new, and some are known.
    case partly
    /// All its parts are new.
    case wholly
  }

  private enum Standing: Equatable {
    /// The next answer decides which version the file is of.
    case none
    /// Bytes of an earlier process are in the file; no reader has any of them.
    case left
    /// Bytes were taken, and may have been given out.
    case held
  }
  private struct Suspect: Equatable {
    let id: Int
    let validator: Validator
  }
  private enum Phase: Equatable { case waiting, fetching(Int), reading }
  private struct Check: Equatable {
    /// nil: of bytes that were left; their first overlap's validator counts.
    var validator: Validator?
    /// The suspects that it decides about: their answers began before it did.
    var suspects: [Int]
    var overlaps: [ByteRange]
    var phase = Phase.waiting
    /// The answer to the last request came under another validator, or in parts under several.
    var isForeign = false
    /// The last request's first answer came; an origin may answer it in parts.
    var hasHead = false
    var tries = 0
    /// Asked because the file was open nowhere for a while: any difference is believed at once, for it costs no reader
    /// anything.
    var isRecheck = false
    /// The answer's head proved the version.
    var isProven = false
    /// Compared after the overlaps of a recheck: `few` of them, or `all` if the validator claims a change.
    var further: Further?
    /// Validators that were seen meanwhile and never accepted.
    var strangers: [Validator] = []
  }
  private struct Further: Equatable {
    let few: [ByteRange]
    let all: [ByteRange]
  }
  private enum Step: Equatable {
    case none
    /// Asks the origin for its validator, as that request if one is on its way.
    case asking(Int?)
    /// The validator decided nothing. The overlaps are not known yet.
    case undecided
    case checking(Check)
  }

  /// The validators under which bytes of this version came, at most `acceptedLimit`.
  private(set) var accepted: [Validator] = []
  /// Counts the versions that this file had here.
  private(set) var pinning = 0
  private var standing = Standing.none
  private var isGiven = false
  private var words: [UInt64] = []
  private var isErratic = false
  private var suspects: [Suspect] = []
  private var step = Step.none
  private var contradictions = 0
  private var lengths = 0

  init() {}

  /// Bytes of an earlier process are in the file, which no reader has.
  init(left validators: [Validator]) {
    accepted = validators
    standing = .left
    step = .asking(nil)
  }

  /// Readers have bytes of this version.
  init(given heritage: SourceHeritage) {
    guard !heritage.isEmpty else { return }
    accepted = Array(heritage.validators.suffix(Self.acceptedLimit))
    words = heritage.words
    standing = .held
    isGiven = true
  }

  // MARK: Questions

  /// Nothing is in doubt: requests may start.
  var isSettled: Bool { step == .none && suspects.isEmpty && standing != .left }
  var isLeft: Bool { standing == .left }
  /// A reader may have bytes of it.
  var hasBeenGiven: Bool { isGiven }
  /// Which overlaps are to be compared is to be said by `compare`.
  var wantsOverlaps: Bool { step == .undecided || step == .none && !suspects.isEmpty }
  var wantsHead: Bool { step == .asking(nil) }
  /// The overlap to request next.
  var nextOverlap: ByteRange? {
    if case .checking(let check) = step, check.phase == .waiting { check.overlaps.first } else { nil }
  }
  /// The request of the suspect that is decided about next.
  var firstSuspect: Int? { suspects.first?.id }
  /// The claim of the suspect that is decided about next.
  var claim: Claim { suspects.first.map { claim(of: $0.validator) } ?? .none }
  func asks(_ id: Int) -> Bool { step == .asking(id) }
  func compares(_ id: Int) -> Bool {
    if case .checking(let check) = step { check.phase == .fetching(id) } else { false }
  }

  private func isAccepted(_ validator: Validator) -> Bool {
    guard let etag = validator.etag else { return false }
    return accepted.contains { $0.etag == etag } || words.contains(validator.word)
  }
  private func claim(of validator: Validator) -> Claim {
    var (said, new) = (0, 0)
    for part in [\Validator.etag, \.weak, \.lastModified] {
      guard let value = validator[keyPath: part] else { continue }
      let known = accepted.compactMap { $0[keyPath: part] }
      // A strong ETag is a claim of its own; anything else only beside one that it differs from.
      guard part == \.etag || !known.isEmpty else { continue }
      said += 1
      if !known.contains(value) { new += 1 }
    }
    return new == 0 ? .none : new == said ? .wholly : .partly
  }
  private var knowsStrong: Bool { accepted.contains { $0.etag != nil } || words.contains { $0 & 1 == 1 } }

  /// Readers have bytes of this version from elsewhere, unless something is known already.
  mutating func follow(_ heritage: SourceHeritage) {
    guard standing == .none, !heritage.isEmpty else { return }
    let pinning = pinning
    self = SourceVersion(given: heritage)
    self.pinning = pinning + 1
  }

  // MARK: Answers

  /// The head of request `id`'s answer came.
  /// - Parameter isAlone: no byte is here, and none is coming, that the answer's bytes would be mixed with.
  mutating func judge(_ found: Validator, of id: Int, isAlone: Bool) -> Verdict {
    let validator = isErratic ? Validator() : found
    switch standing {
    case .none:
      pin(validator)
      return .same
    case .held where isAccepted(validator):
      agreed()
      // Known by its word alone so far; the next control plane is to know it too.
      if !accepted.contains(where: { $0.etag == validator.etag }), accepted.count < Self.acceptedLimit {
        accepted.append(validator)
      }
      return .same
    case .held where isAlone && !isGiven:
      pin(validator)
      return .startAfresh
    case .left, .held:
      suspects.append(Suspect(id: id, validator: validator))
      return .compare
    }
  }

  /// Bytes are about to be readable.
  mutating func given() { isGiven = true }

  /// Request `id` ended, or is given up.
  mutating func forget(_ id: Int) {
    suspects.removeAll { $0.id == id }
    guard case .checking(var check) = step, check.suspects.contains(id) else { return }
    check.suspects.removeAll { $0 == id }
    let isOver = check.suspects.isEmpty && check.phase == .waiting && standing == .held
    step = isOver ? .none : .checking(check)
  }

  /// An answer named another length.
  mutating func lengthDiffers(_ found: Int64) -> Verdict {
    lengths += 1
    return lengths >= Self.lengthLimit ? .refuse(.length(found)) : .compare
  }

  // MARK: Overlaps

  /// Begins a comparison for the first suspect and those that came under the same validator, or of bytes that were
  /// left.
  mutating func compare(_ overlaps: [ByteRange]) {
    guard wantsOverlaps, !overlaps.isEmpty else { return }
    let validator = step == .undecided ? nil : suspects.first?.validator
    step = .checking(
      Check(validator: validator, suspects: suspects.filter { $0.validator == validator }.map(\.id), overlaps: overlaps)
    )
  }

  mutating func requested(_ id: Int) {
    switch step {
    case .asking: step = .asking(id)
    case .checking(var check):
      check.phase = .fetching(id)
      (check.hasHead, check.isForeign, check.isProven) = (false, false, false)
      step = .checking(check)
    case .none, .undecided: break
    }
  }

  /// Asks whether the origin still has this version, although no reader wants a byte.
  /// - Parameters:
  ///   - question: bytes that are here, and few: the validator in the answer to them may decide.
  ///   - few: bytes that are compared then.
  ///   - all: compared in place of them if the validator claims a change.
  /// - Returns: false if that cannot be asked now, or if no reader has a byte.
  mutating func recheck(_ question: ByteRange, few: [ByteRange], all: [ByteRange]) -> Bool {
    guard isSettled, isGiven else { return false }
    step = .checking(
      Check(suspects: [], overlaps: [question], isRecheck: true, further: Further(few: few, all: all)))
    return true
  }
  var isRechecking: Bool { if case .checking(let check) = step { check.isRecheck } else { false } }
  /// The answer itself showed that the file is another one.
  mutating func endRecheck() { if isRechecking { step = .none } }

  /// Its answer's head came. `.same` and `.compare`: go on with it.
  mutating func headCame(_ id: Int, _ found: Validator) -> Verdict {
    let validator = isErratic ? Validator() : found
    if asks(id) {
      guard isAccepted(validator) else {
        step = .undecided
        return .compare
      }
      settle(validator)
      return .same
    }
    guard case .checking(var check) = step, check.phase == .fetching(id) else { return .compare }
    if standing == .left, check.validator.map({ $0 != validator }) ?? false { return drop() }
    if check.isRecheck {
      if !check.hasHead { check.validator = validator }
      check.isProven = isAccepted(validator) && (check.isProven || !check.hasHead)
    }
    check.validator = check.validator ?? validator
    check.isForeign = check.isForeign || check.validator != validator
    check.hasHead = true
    if check.isForeign, validator != Validator(), !accepted.contains(validator), !isAccepted(validator),
      !check.strangers.contains(validator)
    {
      check.strangers.append(validator)
    }
    step = .checking(check)
    return .compare
  }

  /// Request `id` of an overlap, or for the validator, ended. Only a complete overlap is worth comparing.
  mutating func ended(_ id: Int, isComplete: Bool) {
    if asks(id) { step = .asking(nil) }
    guard case .checking(var check) = step, check.phase == .fetching(id) else { return }
    check.phase = isComplete ? .reading : .waiting
    step = .checking(check)
  }

  enum Outcome: Equatable {
    /// There is more to compare, or nothing was.
    case goesOn
    /// Decides about these requests.
    case decided(Verdict, [Int])
    /// A recheck came to its end.
    case rechecked(isChanged: Bool)
    /// These answers were of an edge that did not show itself again: the requests are to be made anew.
    case stray([Int])
  }

  /// The overlap that came was compared with the bytes here.
  mutating func compared(isEqual: Bool) -> Outcome {
    guard case .checking(var check) = step, check.phase == .reading else { return .goesOn }
    check.phase = .waiting
    if check.isRecheck, check.isProven || !isEqual {
      end(check)
      if check.isProven { agreed() }
      return .rechecked(isChanged: !check.isProven)
    }
    if check.isForeign {
      check.tries += 1
      guard check.tries >= Self.triesLimit else {
        step = .checking(check)
        return .goesOn
      }
      if check.isRecheck {
        end(check)
        return .rechecked(isChanged: false)
      }
      if check.strangers.count >= Self.triesLimit - 1 { isErratic = true }
      end(check)
      return .stray(check.suspects)
    }
    guard isEqual else {
      if standing == .left { return .decided(drop(), []) }
      end(check)
      return .decided(contradicted(.bytesDiffer), check.suspects)
    }
    check.tries = 0
    check.overlaps.removeFirst()
    if check.overlaps.isEmpty, let further = check.further {
      check.overlaps = check.validator.map { claim(of: $0) } == Claim.none ? further.few : further.all
      check.further = nil
    }
    guard check.overlaps.isEmpty else {
      step = .checking(check)
      return .goesOn
    }
    end(check)
    settle(check.validator ?? Validator())
    return check.isRecheck ? .rechecked(isChanged: false) : .decided(.same, check.suspects)
  }

  /// There is nothing to compare the first suspect with, and nothing will come.
  mutating func hadNothingToCompare() -> Outcome {
    guard let first = suspects.first, step == .none else { return .goesOn }
    let ids = suspects.filter { $0.validator == first.validator }.map(\.id)
    suspects.removeAll { ids.contains($0.id) }
    guard isGiven else {
      pin(first.validator)
      return .decided(.startAfresh, ids)
    }
    // Only a strong ETag can help, and the first answer showed none that is known.
    if !knowsStrong { contradictions = Self.contradictionLimit }
    return .decided(contradicted(.nothingToCompare), ids)
  }

  /// Bytes that were left turn out to be worthless. The request under way for them is given up.
  mutating func drop() -> Verdict {
    self = SourceVersion(pinning: pinning)
    return .startAfresh
  }

  /// All requests end.
  /// - Returns: the one for an overlap or the validator, which is asked again later.
  mutating func endRequests() -> Int? {
    suspects = []
    switch step {
    case .asking(let id?):
      step = .asking(nil)
      return id
    case .checking(var check):
      check.suspects = []
      guard case .fetching(let id) = check.phase else {
        step = .checking(check)
        return nil
      }
      check.phase = .waiting
      step = standing == .left || check.isRecheck ? .checking(check) : .none
      return id
    case .none, .undecided, .asking: return nil
    }
  }

  // MARK: Parts

  private init(pinning: Int) { self.pinning = pinning }

  private mutating func pin(_ validator: Validator) {
    accepted = [validator]
    pinning += 1
    standing = .held
    agreed()
  }

  private mutating func settle(_ validator: Validator) {
    standing = .held
    step = .none
    agreed()
    guard !accepted.contains(validator), !isErratic else { return }
    if accepted.count < Self.acceptedLimit { accepted.append(validator) } else { isErratic = true }
  }

  private mutating func agreed() {
    contradictions = 0
    lengths = 0
  }

  private mutating func end(_ check: Check) {
    suspects.removeAll { check.suspects.contains($0.id) }
    step = .none
  }

  private mutating func contradicted(_ refusal: Refusal) -> Verdict {
    contradictions = min(contradictions + 1, Self.contradictionLimit)
    return contradictions >= Self.contradictionLimit ? .refuse(refusal) : .compare
  }
}
