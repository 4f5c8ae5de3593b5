// The control plane's two isolation domains. Each is a thread with a libuv loop (module EventLoop); what belongs to a
// loop is marked with its actor, and the compiler keeps the rest out. They are declared here so that modules that know
// no libuv can say whose state is whose.

/// Slots, references, the API: never waits for a file, a name server or the network.
@globalActor package actor DispatchLoop {
  package static let shared = DispatchLoop()
  /// Set once at start, by `EventLoop.start`, before anything runs in the domain.
  package nonisolated(unsafe) static var executor: (any SerialExecutor)?
  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    guard let executor = Self.executor else { preconditionFailure("the dispatch loop was not started") }
    return executor.asUnownedSerialExecutor()
  }

  /// Runs `body` where the caller knows that it is on this loop's thread already (a libuv callback); stops the process
  /// where it is not.
  package nonisolated static func assumeIsolated<T>(_ body: @DispatchLoop () throws -> T) rethrows -> T {
    shared.preconditionIsolated()
    return try withoutActuallyEscaping(body) { try unsafeBitCast($0, to: (() throws -> T).self)() }
  }
}

/// Connections, the fetch plan, extents: everything between a missing range and its bytes on disk.
@globalActor package actor TransferLoop {
  package static let shared = TransferLoop()
  /// Set once at start, by `EventLoop.start`, before anything runs in the domain.
  package nonisolated(unsafe) static var executor: (any SerialExecutor)?
  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    guard let executor = Self.executor else { preconditionFailure("the transfer loop was not started") }
    return executor.asUnownedSerialExecutor()
  }

  /// The counterpart of `DispatchLoop.assumeIsolated`.
  package nonisolated static func assumeIsolated<T>(_ body: @TransferLoop () throws -> T) rethrows -> T {
    shared.preconditionIsolated()
    return try withoutActuallyEscaping(body) { try unsafeBitCast($0, to: (() throws -> T).self)() }
  }
}
