import Core
import EventLoop
import Glibc
import Wire

/// Why there is no mount. Each description is a sentence for the log or the terminal: what happened, which setting
/// matters, what to do. It is a value without state; `ShimHost` and `Survivor` throw it.
package enum ShimHostError: Error, Equatable, Sendable, CustomStringConvertible {
  case runtimePathTooLong(String)
  case socket(String, Errno)
  case mountpoint(String, MountpointFault)
  case noDevice
  case leftBehind(String, HelloError)
  /// A living process that the shims of an earlier run take for their control plane.
  case controlled(Int32)
  case notStarted(String, String)
  case ended(LoopProcess.End)
  /// The shim's own sentence.
  case refused(String)
  case hello(HelloError)
  case impostor(Int32)
  case region(RegionError)
  case badDescriptor(String)
  case loop(String)
  case notMounted(String)
  /// /proc/self/mountinfo cannot be read.
  case mountTable(Errno)
  case stopped
  /// A shim was to be replaced and was not; why.
  case notReplaced(String)

  package var description: String {
    switch self {
    case .runtimePathTooLong(let path):
      "the path of the socket \(path) is longer than a socket's may be (107 bytes): set FSMVP_RUNTIME_DIR to a shorter "
        + "folder"
    case .socket(let path, let errno):
      "the socket \(path) cannot be made (\(errno)): see that the runtime folder (FSMVP_RUNTIME_DIR) is a folder you "
        + "may write to"
    case .mountpoint(let path, let fault): "the mount point \(path) \(fault)"
    case .noDevice:
      "there is no /dev/fuse that can be opened: load the kernel module (modprobe fuse), or give the container the "
        + "device /dev/fuse"
    case .leftBehind(_, .otherABI(let number)):
      "the mount of an earlier run is served by a shim of another version (wire protocol \(number)), which was left as "
        + "it is: end it with "
        + "`fsmvp stop` of that version, or end its processes fsmvp-shim, then start again"
    case .leftBehind(let path, let cause):
      "a shim of an earlier run listens on \(path), but it can be neither taken over nor ended (\(cause)): end the "
        + "processes fsmvp-shim and "
        + "start again"
    case .controlled(let pid):
      "the mount still belongs to the process \(pid), which is stopped or hangs: let it go on with `kill -CONT "
        + "\(pid)`, or end it with "
        + "`kill -9 \(pid)` and start again: nothing that is being read is lost by that"
    case .notStarted(let path, let cause):
      "the shim \(path) cannot be started (\(cause)): build it with `make`, it belongs beside fsmvp"
    case .ended(.exited(Supervision.Fault.temporaryFailure)):
      "the shim could not get the descriptors, the memory or the threads it needs: raise the limits of open files "
        + "(ulimit -n) and of tasks "
        + "(ulimit -u, TasksMax), or end other programs, then start again"
    case .ended(let end):
      "the shim ended before it had mounted anything (\(end)): the lines above from `fsmvp-shim` say why"
    case .refused(let sentence):
      sentence.isEmpty ? "the shim could not mount and did not say why: see its lines above" : sentence
    case .hello(.missingDescriptors), .region(.unreadable(Errno(ENOMEM))), .region(.unreadable(Errno(EMFILE))):
      "this process has no descriptor or no address space left for what it shares with the shim: raise the limits of "
        + "open files (ulimit -n, "
        + "LimitNOFILE) and of virtual memory (ulimit -v, LimitAS), then start again"
    case .hello(let cause):
      "the shim cannot be talked to, as \(cause): build both programs from the same source with `make`"
    case .impostor(let pid):
      "another process (\(pid)) answered in the shim's place: see that nobody else writes to the runtime folder "
        + "(FSMVP_RUNTIME_DIR)"
    case .region(let cause):
      "the shim's memory is not taken, as \(cause): build both programs from the same source with `make`"
    case .badDescriptor(let what):
      "the shim handed over a wrong descriptor for \(what): build both programs from the same source with `make`"
    case .loop(let cause):
      "the event loop refused a descriptor (\(cause)): raise the limit of open files (ulimit -n) and start again"
    case .stopped: "the start was given up, as a stop came in between"
    case .notReplaced(let cause):
      "the shim was not replaced (\(cause)): what it serves is served on; see `fsmvp status` and the log for its state"
    case .mountTable(let errno):
      "/proc/self/mountinfo cannot be read (\(errno)), so nothing was touched and shims of an earlier run serve on: "
        + "raise the limit of open files "
        + "(ulimit -n), or mount /proc, then start again"
    case .notMounted(let path):
      "the shim says it has mounted \(path), but /proc/self/mountinfo does not show it: see that both run in the same "
        + "mount namespace"
    }
  }
}

/// A fault of the folder to mount on; reads on from "the mount point X".
package enum MountpointFault: Error, Equatable, Sendable, CustomStringConvertible {
  case cannotBeMade(Errno)
  case notADirectory
  case notEmpty
  case foreignMount(type: String)
  /// A mount of another FuseStream, whose processes are all gone.
  case deadMount(of: String, at: String)
  case ours
  case hung
  case cannotBeDetached(String)

  package var description: String {
    let other = "choose another one with `mountpoint` in the configuration, --mountpoint or FSMVP_MOUNTPOINT"
    return switch self {
    case .cannotBeMade(let errno): "cannot be made or looked into (\(errno)): \(other)"
    case .notADirectory: "is not a folder: \(other)"
    case .notEmpty: "is a folder with something in it, which the mount would hide: empty it, or \(other)"
    case .foreignMount(let type): "has another file system (\(type)) mounted on it: unmount that, or \(other)"
    case .deadMount(let source, let path):
      "has the dead mount of another FuseStream (\(source)) on it: take it away with `fusermount3 -u -z \(path)`, or "
        + "\(other)"
    case .ours: "is in use by another FuseStream: stop that one with `fsmvp stop`, or \(other)"
    case .hung: "has the mount of a FuseStream on it that does not answer: end its fsmvp-shim, or \(other)"
    case .cannotBeDetached(let cause):
      "has the mount of an earlier run on it that cannot be detached (\(cause)): run `fusermount3 -u -z` on it, or "
        + "\(other)"
    }
  }
}
