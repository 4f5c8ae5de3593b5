import Core

/// An MP4 of any size from `minimumSize` on: the ten seconds of `VideoTrack`, each second's chunk at its share of the
/// way through the file, and noise between them that no sample refers to. A seek to the middle of the film reads the
/// middle of the file, as with a real one. It is a value that does not change.
struct VideoContent: Content {
  static let minimumSize: Int64 = 2 << 20

  let size: Int64
  private let noise: PlainContent
  private let look: VideoTrack.Look
  /// The bytes at the file's ends: the boxes before the samples, and `moov` if it is last.
  private let head: [UInt8]
  private let tail: [UInt8]
  private let chunkOffsets: [Int64]

  /// Bytes of the samples before each one of its chunk, by sample.
  private static let offsetInChunk: [Int] = {
    var offsets: [Int] = []
    var total = 0
    for (index, size) in VideoTrack.sampleSizes.enumerated() {
      if index % VideoTrack.frameRate == 0 { total = 0 }
      offsets.append(total)
      total += size
    }
    return offsets
  }()

  /// The noise gives the size.
  init(noise: PlainContent, id: String, tag: String, moovFirst: Bool) {
    self.noise = noise
    size = noise.size
    look = VideoTrack.Look(id: id, tag: tag)
    let fixed = Int64(MP4.ftyp.count + MP4.moov(chunkOffsets: Array(repeating: 0, count: VideoTrack.seconds)).count)
    let header = MP4.mdatHeader(boxSize: size - fixed)
    let count = size - fixed - Int64(header.count)
    let start = size - count - (moovFirst ? 0 : fixed - Int64(MP4.ftyp.count))
    let offsets = (0..<Int64(VideoTrack.seconds)).map { start + $0 * (count / Int64(VideoTrack.seconds)) }
    chunkOffsets = offsets
    let moov = MP4.moov(chunkOffsets: offsets)
    head = moovFirst ? MP4.ftyp + moov + header : MP4.ftyp + header
    tail = moovFirst ? [] : moov
  }

  func fill(_ buffer: UnsafeMutableRawBufferPointer, from offset: Int64) {
    noise.fill(buffer, from: offset)
    overlay(head, at: 0, on: buffer, from: offset)
    overlay(tail, at: size - Int64(tail.count), on: buffer, from: offset)
    let end = offset + Int64(buffer.count)
    for (second, chunk) in chunkOffsets.enumerated() {
      let samples = second * VideoTrack.frameRate..<(second + 1) * VideoTrack.frameRate
      for index in samples {
        let start = chunk + Int64(Self.offsetInChunk[index])
        guard start < end, start + Int64(VideoTrack.sampleSizes[index]) > offset else { continue }
        overlay(VideoTrack.sample(index, look: look), at: start, on: buffer, from: offset)
      }
    }
  }

  private func overlay(
    _ bytes: [UInt8], at position: Int64, on buffer: UnsafeMutableRawBufferPointer, from offset: Int64
  ) {
    let low = max(position, offset)
    let high = min(position + Int64(bytes.count), offset + Int64(buffer.count))
    guard low < high else { return }
    bytes.withUnsafeBytes {
      let part = UnsafeRawBufferPointer(rebasing: $0[Int(low - position)..<Int(high - position)])
      UnsafeMutableRawBufferPointer(rebasing: buffer[Int(low - offset)...]).copyMemory(from: part)
    }
  }
}
