import Glibc
import Testing

@testable import Telemetry

/// Log lines into a pipe that takes no more.
@Suite struct TextWriterTests {
  @Test("a full pipe blocks no caller of the log: lines are dropped, counted, and the count is told once there is room")
  func fullPipe() throws {
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    let writer = TextWriter(ends[1]) { "dropped \($0)\n" }
    let line = String(repeating: "x", count: 1023) + "\n"
    // Nothing reads meanwhile: the pipe is full, the writer's thread holds one batch, which is the first line here, and
    // the queue takes the rest.
    var added = 0
    #expect(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0)
    while write(ends[1], line, line.utf8.count) == line.utf8.count { added += 1 }
    #expect(fcntl(ends[1], F_SETFL, 0) == 0)
    writer.add(line)
    added += 1
    while writer.waitingBytes > 0 { usleep(1000) }
    while writer.dropped < 10, added < 100_000 {
      writer.add(line)
      added += 1
    }
    #expect(writer.dropped >= 10 && !writer.isIdle)
    let dropped = writer.dropped
    var text: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 65_536)
    while !String(decoding: text.suffix(64), as: UTF8.self).contains("dropped") {
      let count = read(ends[0], &part, part.count)
      guard count > 0 else { break }
      text += part[..<count]
    }
    let lines = text.split(separator: 0x0a).map { String(decoding: $0, as: UTF8.self) }
    #expect(lines.last == "dropped \(dropped)")
    #expect(lines.count == added - dropped + 1 && lines.dropLast().allSatisfy { $0.count == 1023 })
    while !writer.isIdle { usleep(1000) }
    writer.add("again\n")
    #expect(read(ends[0], &part, part.count) == 6)
    close(ends[0])
  }

  @Test("a descriptor that another program made non-blocking loses no line")
  func nonBlocking() throws {
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    for end in ends { #expect(fcntl(end, F_SETFL, O_NONBLOCK) == 0) }
    let writer = TextWriter(ends[1]) { _ in "" }
    let line = String(repeating: "y", count: 1023) + "\n"
    for _ in 0..<500 { writer.add(line) }
    var got = 0
    var part = [UInt8](repeating: 0, count: 65_536)
    while got < 500 * 1024 {
      let count = read(ends[0], &part, part.count)
      if count > 0 { got += count } else if errno == EAGAIN { usleep(1000) } else { break }
    }
    #expect(got == 500 * 1024 && writer.dropped == 0)
    close(ends[0])
  }
}
