import Core
import Transfer

/// Which version of the object the bytes in the file are of: pinned by the first answer. Another validator under the same link is another version;
/// under a new link (which may legitimately come from another host) it is believed once an overlap with bytes in the file compared equal.
struct SourcePin: Equatable {
  enum Verdict: Equatable {
    case same
    case changed
    /// Fetch bytes that are in the file once more and compare, then tell `compared`.
    case compare
  }

  private(set) var accepted: [Validator] = []
  /// Counts versions: how often the first answer of all decided.
  private(set) var pinning = 0
  private var generation: Int?
  /// Being compared.
  private var candidate: (validator: Validator, generation: Int)?

  init() {}

  /// Bytes are in the file that came under these, by links older than any to come.
  init(earlier: [Validator]) {
    accepted = earlier
    generation = 0
  }

  static func == (a: SourcePin, b: SourcePin) -> Bool {
    a.accepted == b.accepted && a.generation == b.generation && a.candidate?.validator == b.candidate?.validator
      && a.candidate?.generation == b.candidate?.generation
  }

  /// - Parameter hasBytes: whether there is anything under an earlier link that this answer's bytes would be mixed with.
  mutating func judge(_ validator: Validator, generation new: Int, hasBytes: Bool) -> Verdict {
    guard let pinned = generation else {
      pin(validator, new)
      return .same
    }
    let agrees = accepted.contains { Self.agree($0, validator) }
    if new <= pinned { return agrees ? .same : .changed }
    if !hasBytes {
      pin(validator, new)
      return .same
    }
    // A server that says nothing about versions proves nothing by saying it again.
    if agrees, validator != Validator() {
      generation = new
      return .same
    }
    candidate = (validator, new)
    return .compare
  }

  /// The answer that brings the bytes to compare: only under the validator they will vouch for.
  mutating func judgeProbe(_ validator: Validator, generation: Int) { candidate = (validator, generation) }

  /// There is no byte left of what came before: what follows is of the version that was to be compared, whichever that is.
  mutating func hadNothingToCompare() { if let candidate { pin(candidate.validator, candidate.generation) } }

  mutating func comparedEqual() {
    guard let candidate else { return }
    accept(candidate.validator, candidate.generation)
  }

  /// What there was is gone; the next answer decides.
  mutating func forget() {
    generation = nil
    candidate = nil
  }

  // MARK: Bytes of an earlier run

  /// Whether an answer is of the version that came under `earlier`: a strong ETag alone says so.
  static func isSame(_ validator: Validator, as earlier: [Validator]) -> Bool {
    validator.etag != nil && earlier.contains { $0.etag == validator.etag }
  }

  /// The bytes were proven to be what a link brings under a validator.
  mutating func prove(_ earlier: [Validator], _ validator: Validator, generation new: Int) {
    accepted = earlier
    accept(validator, new)
  }

  /// The same once every overlap compared equal; all of them have to come under one validator.
  mutating func prove(_ earlier: [Validator]) {
    if let candidate { prove(earlier, candidate.validator, generation: candidate.generation) }
  }

  /// - Returns: false where an overlap comes under another validator than the ones before it.
  mutating func judgeOverlap(_ validator: Validator, generation: Int) -> Bool {
    guard candidate.map({ $0.validator == validator }) ?? true else { return false }
    candidate = (validator, generation)
    return true
  }

  private mutating func pin(_ validator: Validator, _ new: Int) {
    accepted = []
    pinning += 1
    accept(validator, new)
  }

  private mutating func accept(_ validator: Validator, _ new: Int) {
    if !accepted.contains(validator) { accepted.append(validator) }
    generation = max(new, generation ?? new)
    candidate = nil
  }

  /// A strong ETag decides; without one on both sides the date does; nothing agrees only with nothing.
  private static func agree(_ a: Validator, _ b: Validator) -> Bool {
    if let one = a.etag, let other = b.etag { return one == other }
    if let one = a.lastModified, let other = b.lastModified { return one == other }
    return a == b
  }
}
