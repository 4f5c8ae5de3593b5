import Core
import EventLoop
import Telemetry
import Wire

extension ShimHost {
  /// The shim that mounts.
  func spawnFirst() throws(ShimHostError) {
    guard let listening else { return }
    var arguments = ["--listen", "3"] + roots(from: 4) + common
    arguments += ["--workers", String(options.workers)]
    do throws(LoopError) {
      process = try spawn(arguments, [listening.number] + options.allRoots)
    } catch {
      throw .notStarted(options.shimPath, error.description)
    }
  }

  /// One that makes ready and waits for the end of the active shim; where that has ended already, it takes over at once.
  func spawnSuccessor() {
    guard let device, let regionDescriptor, let shimBell, let bell, let listening else { return }
    let names = ["--fuse", "--region", "--shim-bell", "--control-bell", "--listen"]
    let descriptors = [device.number, regionDescriptor.number, shimBell.number, bell.number, listening.number]
    var arguments = ["--successor"]
    for (index, name) in names.enumerated() { arguments += [name, String(3 + index)] }
    arguments += roots(from: 3 + names.count) + common + ["--shim-timeout", String(options.shimTimeout.milliseconds)]
    do throws(LoopError) {
      let shim = try spawn(arguments, descriptors + options.allRoots)
      Log.info("shim.spawned", ["pid": shim.pid])
      supervise(.spawned(shim.who))
    } catch {
      Log.error("shim.not_spawned", ["cause": error.description])
      supervise(.notSpawned("it cannot be started (\(error.description))"))
    }
  }

  private var common: [String] {
    ["--mountpoint", mountpoint, "--fsname", options.fsname, "--subtype", options.subtype] + (volume.isReadOnly ? ["--read-only"] : [])
      + ["--read-ahead", String(options.readAhead >> 10)]
      + ["--log-level", String(Log.level.shimNumber), "--orphan-timeout", String(options.orphanTimeout.milliseconds)]
  }

  private func roots(from first: Int) -> [String] { options.allRoots.indices.flatMap { ["--root", String(first + $0)] } }

  private func spawn(_ arguments: [String], _ descriptors: [Int32]) throws(LoopError) -> ShimProcess {
    let shim = try ShimProcess(options.shimPath, arguments: arguments, descriptors: descriptors) { [weak self] in self?.shimEnded($0) }
    shims.append(shim)
    return shim
  }
}

extension Log.Level {
  /// The shim counts the other way: 0 errors, 3 everything.
  var shimNumber: UInt32 {
    switch self {
    case .error: 0
    case .warning: 1
    case .info: 2
    case .debug: 3
    }
  }

  init(shimNumber: UInt32) {
    switch shimNumber {
    case 0: self = .error
    case 1: self = .warning
    case 2: self = .info
    default: self = .debug
    }
  }
}
