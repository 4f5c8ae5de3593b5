import CLinux
import CWire
import Core
import Glibc

/// The bytes "sfstream".
let wireMagic: UInt64 = 0x6d61_6572_7473_6673

/// Why the process at the socket's other end is not talked to.
package enum HelloError: Error, Equatable, Sendable, CustomStringConvertible {
  case notReached(Errno)
  /// Nothing was heard within the time, or the other end closed: the cause as the call gave it.
  case noAnswer(Errno)
  case foreignPeer(uid: UInt32)
  case notOurs
  case otherABI(UInt32)
  /// The number of a feature that one side needs and the other lacks.
  case otherFeatures(needed: UInt32)
  case lacksFeature(UInt32)
  /// Fewer descriptors than a mount has: the other end sent too few, or this process has no room for them.
  case missingDescriptors(Int)

  package var description: String {
    switch self {
    case .notReached(let errno): "its socket cannot be connected to: \(errno)"
    case .noAnswer(let errno): "it did not answer: \(errno)"
    case .foreignPeer(let uid): "it runs as another user (\(uid))"
    case .notOurs: "it does not speak our protocol"
    case .otherABI(let number): "it is of another version (wire protocol \(number), ours is \(FSMVP_ABI))"
    case .otherFeatures(let number):
      "it needs feature \(number) of the wire protocol, which this version lacks: use the version that started it"
    case .lacksFeature(let number):
      "it lacks feature \(number) of the wire protocol, which this version needs: stop it with the version that started it"
    case .missingDescriptors(let count): "it handed over \(count) descriptors, fewer than a mount has"
    }
  }

  /// This process, or the machine, has no descriptor left for it.
  package var isShortage: Bool {
    switch self {
    case .notReached(let errno), .noAnswer(let errno): [EMFILE, ENFILE, ENOMEM, ENOBUFS].contains(errno.code)
    case .foreignPeer, .notOurs, .otherABI, .otherFeatures, .lacksFeature, .missingDescriptors: false
    }
  }
}

/// The shim's first message.
package struct Greeting: Sendable {
  /// 0, or why there is no mount; `message` is the sentence.
  package var status: Int32
  package var message: String
  /// Pid and start time.
  package var identity: UInt64
  package var pid: Int32 { Int32(truncatingIfNeeded: fsmvp_low(identity)) }
  /// By `fsmvp_descriptor`'s numbers; empty where `status` is not 0.
  package var descriptors: [OwnedDescriptor]
  package var device: OwnedDescriptor { descriptors[Int(FSMVP_FD_FUSE.rawValue)] }
  package var region: OwnedDescriptor { descriptors[Int(FSMVP_FD_REGION.rawValue)] }
  package var shimBell: OwnedDescriptor { descriptors[Int(FSMVP_FD_SHIM_BELL.rawValue)] }
  package var controlBell: OwnedDescriptor { descriptors[Int(FSMVP_FD_CONTROL_BELL.rawValue)] }
  package var listening: OwnedDescriptor { descriptors[Int(FSMVP_FD_LISTEN.rawValue)] }
  package var roots: ArraySlice<OwnedDescriptor> { descriptors[Int(FSMVP_FD_ROOT.rawValue)...] }
}

/// The first exchange on the link. Everything here waits: for worker threads. It touches the Unix socket of a shim
/// alone and keeps no state.
package enum Hello {
  /// A connection to the shim's socket, checked for its user and with our hello said: the shim gives a connection half
  /// a second for that, and the next job for a worker thread may wait longer. Close-on-exec.
  package static func connect(_ path: String) -> Result<OwnedDescriptor, HelloError> {
    let socket = clinux_connect(path)
    guard socket >= 0 else { return .failure(.notReached(.current)) }
    let owned = OwnedDescriptor(socket)
    var uid: uid_t = 0
    var pid: pid_t = 0
    // The kernel reports the process that called listen(): this one, which made the socket, or the shim. The pid that
    // counts is in the greeting.
    guard clinux_peer(socket, &uid, &pid) == 0 else { return .failure(.notReached(.current)) }
    guard uid == geteuid() else { return .failure(.foreignPeer(uid: uid)) }
    return say(on: owned).map { owned }
  }

  /// Says our hello.
  static func say(on socket: OwnedDescriptor) -> Result<Void, HelloError> {
    var ours = fsmvp_hello()
    ours.magic = wireMagic
    ours.abi = FSMVP_ABI
    ours.features = FSMVP_FEATURES
    ours.needs = FSMVP_NEEDS
    ours.identity = ProcessIdentity.of(getpid())
    let sent = fsmvp_send(socket.number, &ours, length, nil, 0, 1000)
    return sent == 0 ? .success(()) : .failure(.noAnswer(Errno(-sent)))
  }

  /// A feature that the other side only adds is none of our business.
  private static func disagreement(with theirs: fsmvp_hello) -> HelloError? {
    let lacked = fsmvp_feature_missing(theirs.needs, FSMVP_FEATURES)
    if lacked != 0 { return .otherFeatures(needed: lacked) }
    let missed = fsmvp_feature_missing(FSMVP_NEEDS, theirs.features)
    return missed != 0 ? .lacksFeature(missed) : nil
  }

  private static let length = UInt32(MemoryLayout<fsmvp_hello>.size)

  /// Waits for the shim's hello, at most `milliseconds`; shutting the socket down ends the wait.
  /// - Parameter takesDescriptors: false: those that come with it are closed, and none has to come.
  package static func hear(
    _ socket: OwnedDescriptor, milliseconds: Int32, takesDescriptors: Bool = true
  ) -> Result<Greeting, HelloError> {
    var theirs = fsmvp_hello()
    var numbers = [Int32](repeating: -1, count: Int(FSMVP_FDS_MAX.rawValue))
    var count = takesDescriptors ? UInt32(numbers.count) : 0
    let received = fsmvp_receive(socket.number, &theirs, length, &numbers, &count, milliseconds)
    guard received == 0 else { return .failure(.noAnswer(Errno(-received))) }
    let descriptors = numbers.prefix(Int(count)).map { OwnedDescriptor($0) }
    guard theirs.magic == wireMagic else { return .failure(.notOurs) }
    guard theirs.abi == FSMVP_ABI else { return .failure(.otherABI(theirs.abi)) }
    if let disagreement = disagreement(with: theirs) { return .failure(disagreement) }
    if theirs.status == 0, takesDescriptors, descriptors.count < Int(FSMVP_FD_ROOT.rawValue) {
      return .failure(.missingDescriptors(descriptors.count))
    }
    let message = withUnsafeBytes(of: &theirs.message) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    return .success(
      Greeting(
        status: theirs.status, message: message, identity: theirs.identity,
        descriptors: theirs.status == 0 ? descriptors : []))
  }

  /// Whether that process, with that start time, may be alive. A look that fails is no proof of its end.
  package static func isAlive(_ identity: UInt64) -> Bool { fsmvp_process_life(identity) != FSMVP_LIFE_ENDED }
}
