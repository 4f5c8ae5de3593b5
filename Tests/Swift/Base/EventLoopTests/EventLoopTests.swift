import Core
import Glibc
import Synchronization
import Testing

@testable import EventLoop

@Suite("EventLoop")
struct EventLoopTests {
  init() { EventLoop.start() }

  @Test("a global actor's work runs on its loop's thread, and the two threads differ")
  func isolation() async {
    let onDispatch = await Task { @DispatchLoop in EventLoop.dispatch.isCurrent }.value
    let onTransfer = await Task { @TransferLoop in EventLoop.transfer.isCurrent && !EventLoop.dispatch.isCurrent }.value
    #expect(onDispatch && onTransfer && !EventLoop.dispatch.isCurrent)
  }

  @Test("what one thread posts runs in order, none lost, under load from several")
  func order() async {
    let seen = Box<[Int: [Int]]>([:])
    await withTaskGroup(of: Void.self) { group in
      for sender in 0..<4 {
        group.addTask {
          for number in 0..<5_000 {
            EventLoop.dispatch.post { seen.withLock { $0[sender, default: []].append(number) } }
          }
        }
      }
    }
    await Task { @DispatchLoop in }.value
    let result = seen.withLock { $0 }
    for sender in 0..<4 { #expect(result[sender] == Array(0..<5_000)) }
  }

  @Test("work posted from the loop itself runs, and lets descriptors have their turn")
  func local() async throws {
    let count: Int = await withCheckedContinuation { continuation in
      DispatchLoop.post { Countdown(from: 1_000) { continuation.resume(returning: $0) }.step() }
    }
    #expect(count == 1_000)
  }

  @Test(
    "a step of two milliseconds or more is remembered with its place in the source and what it took, a short one is only counted"
  )
  func slowStep() async throws {
    let before = EventLoop.transfer.stepFigures
    let line: UInt = #line + 2
    await withCheckedContinuation { continuation in
      EventLoop.transfer.post {
        spin(.milliseconds(3))
        continuation.resume()
      }
    }
    // The figures are those of the loop's last turn.
    await Task { @TransferLoop in }.value
    await Task { @TransferLoop in }.value
    let after = EventLoop.transfer.stepFigures
    let source = "EventLoopTests/EventLoopTests.swift:\(line)"
    let step = try #require(after.recent.first { $0.number > before.slowCount && $0.source == source })
    #expect(step.nanoseconds >= 3_000_000 && step.processorNanoseconds <= step.nanoseconds)
    #expect(after.count > before.count && after.recent.count <= 64)
  }

  @Test("a descriptor has its turn among a thousand closures that wait, each of which takes its time")
  func turns() async throws {
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    let (readEnd, writeEnd) = (ends[0], ends[1])
    let ran: Int = await withCheckedContinuation { continuation in
      DispatchLoop.post { Queue(readEnd, writeEnd) { continuation.resume(returning: $0) }.start() }
    }
    close(readEnd)
    close(writeEnd)
    // One drain is at most two of these, because it ends after a millisecond, and there is one drain between two looks
    // at the descriptors.
    #expect(ran <= 2)
  }

  @Test("a timer fires once, or again and again until it is stopped")
  func timer() async throws {
    let ticks: Int = try await withCheckedThrowingContinuation { continuation in
      DispatchLoop.post {
        do { try Ticker(limit: 3) { continuation.resume(returning: $0) }.start() } catch {
          continuation.resume(throwing: error)
        }
      }
    }
    #expect(ticks == 3)
  }

  @Test("background work runs elsewhere and comes back to the loop")
  func background() async {
    let (away, back): (Bool, Bool) = await withCheckedContinuation { continuation in
      EventLoop.transfer.post {
        EventLoop.transfer.background({ EventLoop.transfer.isCurrent }) {
          continuation.resume(returning: (!$0, EventLoop.transfer.isCurrent))
        }
      }
    }
    #expect(away && back)
  }

  @Test("a child gets its descriptors as 3, 4, ... in a session of its own, and its end is told")
  func process() async throws {
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    let writeEnd = ends[1]
    let end: LoopProcess.End = try await withCheckedThrowingContinuation { continuation in
      DispatchLoop.post {
        do {
          try Child.run("/bin/sh", ["-c", "echo $(ps -o sid= $$) = $$ >&3; exit 7"], [writeEnd]) {
            continuation.resume(returning: $0)
          }
        } catch { continuation.resume(throwing: error) }
      }
    }
    close(writeEnd)
    var bytes = [UInt8](repeating: 0, count: 100)
    let count = read(ends[0], &bytes, 100)
    close(ends[0])
    let parts = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split {
      $0 == "=" || $0 == " " || $0 == "\n"
    }
    #expect(end == .exited(7))
    #expect(parts.count == 2 && parts[0] == parts[1])
  }

  @Test("a pipe carries bytes both ways and tells its end")
  func pipes() async throws {
    var sockets: [Int32] = [0, 0]
    #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &sockets) == 0)
    let (ours, theirs) = (sockets[0], sockets[1])
    let told = Box<[UInt8]>([])
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      DispatchLoop.post {
        Echo.start(ours) {
          told.withLock { $0 += Array("end".utf8) }
        } received: { bytes in
          told.withLock { $0 += bytes }
        }
        continuation.resume()
      }
    }
    let sent = Array("hello".utf8)
    #expect(write(theirs, sent, 5) == 5)
    var back = [UInt8](repeating: 0, count: 5)
    var got = 0
    while got < 5 {
      let count = back.withUnsafeMutableBytes { read(theirs, $0.baseAddress.map { $0 + got }, 5 - got) }
      guard count > 0 else { break }
      got += count
    }
    #expect(back == sent)
    close(theirs)
    while told.withLock({ !String(decoding: $0, as: UTF8.self).hasSuffix("end") }) { await Task.yield() }
    #expect(told.withLock { String(decoding: $0, as: UTF8.self) } == "helloend")
  }
}

/// A value that several threads change.
private final class Box<Value: Sendable>: Sendable {
  private let value: Mutex<Value>
  init(_ value: Value) { self.value = Mutex(value) }
  func withLock<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
    value.withLock { value in body(&value) }
  }
}

/// Keeps the thread busy.
private func spin(_ time: Duration) {
  let end = SystemClock().now() + time
  while SystemClock().now() < end {}
}

/// Counts how many closures run between a descriptor's becoming readable and its callback.
@DispatchLoop
private final class Queue {
  private let readEnd: Int32
  private let writeEnd: Int32
  private let done: @Sendable (Int) -> Void
  private var poll: LoopPoll?
  private var ran = 0

  init(_ readEnd: Int32, _ writeEnd: Int32, done: @escaping @Sendable (Int) -> Void) {
    (self.readEnd, self.writeEnd, self.done) = (readEnd, writeEnd, done)
  }

  func start() {
    poll = try? LoopPoll(readEnd, on: .dispatch) { _ in
      DispatchLoop.assumeIsolated {
        self.poll?.close()
        self.poll = nil
        self.done(self.ran)
      }
    }
    poll?.start(.readable)
    DispatchLoop.post { _ = write(self.writeEnd, "x", 1) }
    for _ in 0..<1000 {
      DispatchLoop.post {
        guard self.poll != nil else { return }
        spin(.microseconds(500))
        self.ran += 1
      }
    }
  }
}

@DispatchLoop
private final class Countdown {
  private var left: Int
  private let from: Int
  private let done: @Sendable (Int) -> Void
  init(from: Int, done: @escaping @Sendable (Int) -> Void) {
    (left, self.from, self.done) = (from, from, done)
  }
  func step() {
    left -= 1
    if left == 0 { return done(from) }
    DispatchLoop.post { self.step() }
  }
}

@DispatchLoop
private final class Ticker {
  private var timer: LoopTimer?
  private var ticks = 0
  private let limit: Int
  private let done: @Sendable (Int) -> Void
  init(limit: Int, done: @escaping @Sendable (Int) -> Void) { (self.limit, self.done) = (limit, done) }

  func start() throws {
    let timer = try LoopTimer(on: .dispatch) { self.tick() }
    self.timer = timer
    timer.start(after: .milliseconds(1), every: .milliseconds(1))
  }

  private func tick() {
    ticks += 1
    guard ticks == limit else { return }
    timer?.close()
    timer = nil
    done(ticks)
  }
}

@DispatchLoop
private enum Child {
  private static var running: LoopProcess?
  static func run(
    _ path: String, _ arguments: [String], _ descriptors: [Int32], ended: @escaping @Sendable (LoopProcess.End) -> Void
  )
    throws(LoopError)
  {
    running = try LoopProcess(path, arguments: arguments, descriptors: descriptors, on: .dispatch) { end in
      running = nil
      ended(end)
    }
  }
}

@DispatchLoop
private enum Echo {
  private static var pipe: LoopPipe?
  static func start(_ descriptor: Int32, ended: @escaping () -> Void, received: @escaping ([UInt8]) -> Void) {
    pipe = try? LoopPipe(descriptor: descriptor, on: .dispatch) { bytes in
      received(Array(bytes))
      pipe?.write(Array(bytes))
    } ended: {
      pipe?.close()
      pipe = nil
      ended()
    }
  }
}
