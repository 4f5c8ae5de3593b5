import ControlModel
import Core
import Glibc
import Support
import Testing
import Volume

@testable import OpenFiles
@testable import Staging

@Suite("Meter")
struct MeterTests {
  private func moment(_ seconds: Double) -> Moment { Moment(nanoseconds: UInt64(1e12 + seconds * 1e9)) }

  @Test("a steady rate is itself, and a new one takes over within seconds")
  func rates() throws {
    var meter = Meter()
    #expect(meter.rate == nil)
    for look in 0...8 { meter.note(Int64(look) * 250, at: moment(Double(look) / 4)) }
    #expect(meter.rate == 1000)
    for look in 1...40 { meter.note(2000 + Int64(look) * 2500, at: moment(2 + Double(look) / 4)) }
    let rate = try #require(meter.rate)
    #expect((9900...10_000).contains(rate))
    for look in 1...400 { meter.note(102_000, at: moment(12 + Double(look) / 4)) }
    #expect(meter.rate == nil)
  }

  @Test("what has come to rest says so within seconds, however fast it was")
  func rest() {
    var meter = Meter()
    meter.note(0, at: moment(0))
    meter.note(1 << 40, at: moment(1))
    for look in 1...7 { meter.note(1 << 40, at: moment(1 + Double(look) / 4)) }
    #expect(meter.rate != nil)
    meter.note(1 << 40, at: moment(3))
    #expect(meter.rate == nil)
  }

  @Test("dropped bytes and a long time without looks begin it anew; a stale rate is not told")
  func breaks() {
    var meter = Meter()
    meter.note(0, at: moment(0))
    meter.note(1000, at: moment(1))
    #expect(meter.rate(at: moment(2)) == 1000)
    #expect(meter.rate(at: moment(5)) == nil)
    meter.note(10, at: moment(2))
    #expect(meter.rate == nil)
    meter.note(1010, at: moment(3))
    #expect(meter.rate == 1000)
    meter.note(5000, at: moment(60))
    #expect(meter.rate == nil)
  }
}

@Suite("Readers in /proc")
struct ReadersTests {
  @Test("a process that has the file open is found by its thread, with its name and its position")
  func found() throws {
    let folder = try TestFolder.make("readers")
    let path = folder + "/Staged-file"
    let written = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
    #expect(ftruncate(written, 1000) == 0)
    close(written)
    let first = open(path, O_RDONLY | O_CLOEXEC)
    let second = open(path, O_RDONLY | O_CLOEXEC)
    defer {
      close(first)
      close(second)
      unlink(path)
      rmdir(folder)
    }
    #expect(lseek(first, 123, SEEK_SET) == 123)
    #expect(lseek(second, 456, SEEK_SET) == 456)
    let thread = getpid()
    let questions = [1, 2].map {
      Readers.Question(handle: HandleID($0), thread: thread, path: "/Staged-file", known: nil)
    }
    let readers = Readers.look(for: questions)
    #expect(Set(readers.values.map(\.position)) == [123, 456])
    #expect(readers.values.allSatisfy { $0.pid == getpid() && !$0.process.isEmpty })
    // Known ones are looked at where they were, without a search.
    #expect(lseek(first, 200, SEEK_SET) == 200)
    let again = questions.map {
      Readers.Question(handle: $0.handle, thread: 0, path: $0.path, known: readers[$0.handle])
    }
    #expect(Set(Readers.look(for: again).values.map(\.position)) == [200, 456])
  }

  @Test("what has no descriptor there, or no thread any more, is not made up")
  func absent() {
    let question = Readers.Question(
      handle: HandleID(1), thread: Int32(getpid()), path: "/Staged/nobody/has-this", known: nil)
    let reader = Readers.look(for: [question])[HandleID(1)]
    #expect(reader?.descriptor == -1 && reader?.position == 0)
    let gone = Readers.Question(handle: HandleID(2), thread: 0x3fff_fff0, path: "/x", known: nil)
    #expect(Readers.look(for: [gone]).isEmpty)
  }

  @Test("the kernel reads ahead of a reader, a seek runs ahead of what was read, a reader by pread has no position")
  func position() {
    let use = HandleUse(bytes: 1000, furthest: 1000)
    func reader(_ position: Int64) -> Readers.Reader { .init(pid: 1, process: "x", descriptor: 3, position: position) }
    #expect(StagedVolume.position(reader(600), use: use) == 600)
    #expect(StagedVolume.position(reader(5000), use: use) == 1000)
    #expect(StagedVolume.position(reader(0), use: use) == 1000)
    #expect(StagedVolume.position(nil, use: use) == 1000)
  }
}

@Suite("Looks at the items")
struct LookTests {
  @Test("each change is told once: new, opened, read, closed, gone")
  func changes() async throws {
    try await World.run { world in
      let item = try await world.stage("f1")
      #expect(world.volume.look().changed.map(\.id) == [item.id])
      #expect(world.volume.look() == ItemChanges(changed: [], gone: []))
      _ = try world.open(item, 1)
      await settle()
      world.time.pass(.milliseconds(250))
      let opened = world.volume.look().changed
      #expect(opened.map(\.state) == [.open])
      #expect(opened.first?.readers.count == 1)
      world.host.uses[HandleID(1)] = HandleUse(bytes: item.size / 2, furthest: item.size / 4)
      world.time.pass(.milliseconds(250))
      let read = try #require(world.volume.look().changed.first)
      #expect(read.bytesRead == item.size / 4 && read.bytesServed == item.size / 2)
      #expect(read.readRate != nil && read.etaSeconds != nil)
      world.close(1, read: item.size / 4)
      world.time.pass(.milliseconds(250))
      let closed = try #require(world.volume.look().changed.first)
      #expect(closed.bytesRead == item.size / 4 && closed.readers.isEmpty)
      _ = try await world.volume.unstage(item.id)
      #expect(world.volume.look().gone == [item.id])
      #expect(world.volume.look() == ItemChanges(changed: [], gone: []))
    }
  }
}
