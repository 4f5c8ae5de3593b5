import Core
import Testing

@testable import MediaHubSim

struct VideoTests {
  private struct Box {
    var type: String
    var payload: Range<Int64>
  }

  /// The boxes in `range`; nil where their sizes do not add up.
  private func boxes(_ content: any Content, in range: Range<Int64>) -> [Box]? {
    var found: [Box] = []
    var position = range.lowerBound
    while position < range.upperBound {
      guard position + 8 <= range.upperBound else { return nil }
      let header = content.bytes(position, count: 8)
      var size = Int64(integer(header[0..<4]))
      var headerSize: Int64 = 8
      if size == 1 {
        size = Int64(integer(content.bytes(position + 8, count: 8)[...]))
        headerSize = 16
      }
      guard size >= headerSize, position + size <= range.upperBound else { return nil }
      found.append(
        Box(type: String(decoding: header[4...], as: UTF8.self), payload: position + headerSize..<position + size))
      position += size
    }
    return found
  }

  private func integer(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

  private func descend(_ content: any Content, _ path: [String]) -> Box? {
    var range = 0..<content.size
    var box: Box?
    for type in path {
      box = boxes(content, in: range)?.first { $0.type == type }
      guard let box else { return nil }
      range = box.payload
    }
    return box
  }

  @Test(
    "the boxes add up to the file's size, and every sample is a NAL unit in the mdat",
    arguments: [VideoContent.minimumSize, 5_000_001, 1 << 32, (1 << 32) + 3000, 6 << 30] as [Int64], [true, false])
  func structure(size: Int64, moovFirst: Bool) throws {
    let id = CatalogFile.id(3)
    let kind: CatalogFile.Kind = moovFirst ? .video : .videoMoovLast
    let content = CatalogFile(id: id, name: "v", size: size, kind: kind).content(tag: "t", version: 1)
    let top = try #require(boxes(content, in: 0..<size))
    #expect(top.map(\.type) == (moovFirst ? ["ftyp", "moov", "mdat"] : ["ftyp", "mdat", "moov"]))
    let mdat = try #require(top.first { $0.type == "mdat" }).payload

    let table = ["moov", "trak", "mdia", "minf", "stbl"]
    let stsz = try #require(descend(content, table + ["stsz"])).payload
    let co64 = try #require(descend(content, table + ["co64"])).payload
    let sizes = content.bytes(stsz.lowerBound + 12, count: Int(stsz.count) - 12)
    let offsets = content.bytes(co64.lowerBound + 8, count: Int(co64.count) - 8)
    #expect(sizes.count == VideoTrack.frameCount * 4 && offsets.count == VideoTrack.seconds * 8)
    var last = mdat.lowerBound
    for second in 0..<VideoTrack.seconds {
      var position = Int64(integer(offsets[second * 8..<second * 8 + 8]))
      #expect(position >= last)
      for frame in second * VideoTrack.frameRate..<(second + 1) * VideoTrack.frameRate {
        let length = Int64(integer(sizes[frame * 4..<frame * 4 + 4]))
        let start = content.bytes(position, count: 5)
        #expect(Int64(integer(start[0..<4])) == length - 4)
        #expect(start[4] == (VideoTrack.isKeyFrame(frame) ? 0x65 : 0x61))
        position += length
      }
      last = position
    }
    #expect(last <= mdat.upperBound)
  }

  @Test("a sample has the same length for every recipient, and no start code inside")
  func samples() {
    for index in [0, 1, 14, 15, 16, 149] {
      let one = VideoTrack.sample(index, look: .init(id: "a", tag: "x"))
      #expect(one.count == VideoTrack.sampleSizes[index])
      #expect(one.dropFirst(4).firstRange(of: [0, 0, 1]) == nil && one.dropFirst(4).firstRange(of: [0, 0, 0]) == nil)
      if VideoTrack.isKeyFrame(index) { #expect(one != VideoTrack.sample(index, look: .init(id: "a", tag: "y"))) }
    }
  }

  @Test("Exp-Golomb and emulation prevention are H.264's")
  func bits() {
    var out = BitWriter(nalHeader: 0x67)
    for value: UInt32 in [0, 1, 2, 3, 25] { out.ue(value) }
    out.finish()
    // 1 010 011 00100 000011010 1, then zeros up to the byte
    #expect(out.bytes == [0x67, 0b1010_0110, 0b0100_0000, 0b1101_0100 | 0b0])
    var zeros = BitWriter(nalHeader: 0x65)
    zeros.u(32, 1)
    #expect(zeros.bytes == [0x65, 0, 0, 3, 0, 1])
  }
}
