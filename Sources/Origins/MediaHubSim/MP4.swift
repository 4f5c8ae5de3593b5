/// The boxes of ISO/IEC 14496-12 and -15 around `VideoTrack`'s samples. These are pure functions, for `VideoContent`.
enum MP4 {
  static func box(_ type: String, _ parts: [UInt8]...) -> [UInt8] {
    let payload = parts.reduce([], +)
    return bigEndian(UInt32(payload.count + 8)) + Array(type.utf8) + payload
  }

  /// A box with a version and flags.
  private static func full(_ type: String, version: UInt8 = 0, flags: UInt32 = 0, _ parts: [UInt8]...) -> [UInt8] {
    box(type, bigEndian(UInt32(version) << 24 | flags), parts.reduce([], +))
  }

  private static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
  private static let unity: [UInt8] = ([0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x4000_0000] as [UInt32]).flatMap {
    bigEndian($0)
  }

  static let ftyp = box("ftyp", Array("isom".utf8), bigEndian(UInt32(0x200)), Array("isomiso2avc1mp41".utf8))

  /// The header of a `mdat` that takes `boxSize` bytes with it; of 64 bits where the size needs them.
  static func mdatHeader(boxSize: Int64) -> [UInt8] {
    if boxSize <= Int64(UInt32.max) { return bigEndian(UInt32(boxSize)) + Array("mdat".utf8) }
    return bigEndian(UInt32(1)) + Array("mdat".utf8) + bigEndian(UInt64(boxSize))
  }

  /// One chunk for each second. The offsets are of 64 bits in every file, so that the box has the same length in all of
  /// them.
  static func moov(chunkOffsets: [Int64]) -> [UInt8] {
    let milliseconds = UInt32(VideoTrack.milliseconds)
    let mvhd = full(
      "mvhd", zeros(8), bigEndian(UInt32(1000)), bigEndian(milliseconds), bigEndian(UInt32(0x10000)),
      bigEndian(UInt16(0x100)), zeros(10),
      unity, zeros(24), bigEndian(UInt32(2)))
    let tkhd = full(
      "tkhd", flags: 3, zeros(8), bigEndian(UInt32(1)), zeros(4), bigEndian(milliseconds), zeros(8), zeros(8), unity,
      bigEndian(UInt32(VideoTrack.width) << 16), bigEndian(UInt32(VideoTrack.height) << 16))
    let rate = UInt32(VideoTrack.frameRate)
    // 0x55c4 is "und" in three packed letters.
    let mdhd = full(
      "mdhd", zeros(8), bigEndian(rate), bigEndian(UInt32(VideoTrack.frameCount)), bigEndian(UInt16(0x55c4)), zeros(2))
    let hdlr = full("hdlr", zeros(4), Array("vide".utf8), zeros(12), Array("video\0".utf8))
    let dinf = box("dinf", full("dref", bigEndian(UInt32(1)), full("url ", flags: 1)))
    let minf = box("minf", full("vmhd", flags: 1, zeros(8)), dinf, table(chunkOffsets))
    return box("moov", mvhd, box("trak", tkhd, box("mdia", mdhd, hdlr, minf)))
  }

  private static func table(_ chunkOffsets: [Int64]) -> [UInt8] {
    let frames = UInt32(VideoTrack.frameCount)
    let keys = (0..<VideoTrack.frameCount).filter(VideoTrack.isKeyFrame)
    return box(
      "stbl",
      full("stsd", bigEndian(UInt32(1)), sampleEntry),
      full("stts", bigEndian(UInt32(1)), bigEndian(frames), bigEndian(UInt32(1))),
      full("stss", bigEndian(UInt32(keys.count)), keys.flatMap { bigEndian(UInt32($0 + 1)) }),
      full(
        "stsc", bigEndian(UInt32(1)), bigEndian(UInt32(1)), bigEndian(UInt32(VideoTrack.frameRate)),
        bigEndian(UInt32(1))),
      full("stsz", zeros(4), bigEndian(frames), VideoTrack.sampleSizes.flatMap { bigEndian(UInt32($0)) }),
      full("co64", bigEndian(UInt32(chunkOffsets.count)), chunkOffsets.flatMap { bigEndian(UInt64($0)) }))
  }

  private static var sampleEntry: [UInt8] {
    let (sps, pps) = (VideoTrack.sps, VideoTrack.pps)
    let avcC = box(
      "avcC", [1] + Array(sps[1...3]) + [0xff, 0xe1], bigEndian(UInt16(sps.count)), sps, [1],
      bigEndian(UInt16(pps.count)), pps)
    return box(
      "avc1", zeros(6), bigEndian(UInt16(1)), zeros(16), bigEndian(UInt16(VideoTrack.width)),
      bigEndian(UInt16(VideoTrack.height)),
      bigEndian(UInt32(0x48_0000)), bigEndian(UInt32(0x48_0000)), zeros(4), bigEndian(UInt16(1)), zeros(32),
      bigEndian(UInt16(0x18)),
      bigEndian(UInt16.max), avcC)
  }
}
