/// Bytes that are computed where they are asked for. Nothing is stored: a file of 6 GiB costs what its parameters cost.
/// A content is a value without state, which any thread may ask.
protocol Content: Sendable {
  var size: Int64 { get }
  /// Fills `buffer` with the bytes from `offset` on. The caller stays inside `0 ..< size`.
  func fill(_ buffer: UnsafeMutableRawBufferPointer, from offset: Int64)
}

extension Content {
  /// A copy of some of it; for tests and small answers.
  func bytes(_ offset: Int64, count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      fill(UnsafeMutableRawBufferPointer(buffer), from: offset)
      filled = count
    }
  }
}

/// Bytes that are there already: an API answer that a fault is going to cut.
struct BytesContent: Content {
  let bytes: [UInt8]
  var size: Int64 { Int64(bytes.count) }

  func fill(_ buffer: UnsafeMutableRawBufferPointer, from offset: Int64) {
    bytes.withUnsafeBytes {
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(offset)..<Int(offset) + buffer.count]))
    }
  }
}

/// A page of a proxy, blown up with spaces to the length of what was asked for: right length, wrong substance.
struct HTMLContent: Content {
  static let page = Array(
    "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in to the network.</body></html>\n".utf8)
  let size: Int64

  func fill(_ buffer: UnsafeMutableRawBufferPointer, from offset: Int64) {
    for index in 0..<buffer.count {
      let position = Int(offset) + index
      buffer[index] = position < Self.page.count ? Self.page[position] : 0x20
    }
  }
}

/// Another content with every byte `distance` further on (wrapping): what a cache that mixed up its blocks sends.
struct ShiftedContent: Content {
  let base: any Content
  let distance: Int64
  var size: Int64 { base.size }

  func fill(_ buffer: UnsafeMutableRawBufferPointer, from offset: Int64) {
    guard size > 0, !buffer.isEmpty else { return }
    var start = (offset + distance) % size
    if start < 0 { start += size }
    let first = Int(min(Int64(buffer.count), size - start))
    base.fill(UnsafeMutableRawBufferPointer(rebasing: buffer[0..<first]), from: start)
    if first < buffer.count {
      fill(UnsafeMutableRawBufferPointer(rebasing: buffer[first...]), from: offset + Int64(first))
    }
  }
}

/// The first bytes of one content, and the rest of another: a file that was changed behind its beginning.
struct SplicedContent: Content {
  let beginning: any Content
  let count: Int64
  let rest: any Content
  var size: Int64 { rest.size }

  func fill(_ buffer: UnsafeMutableRawBufferPointer, from offset: Int64) {
    let first = Int(min(Int64(buffer.count), max(0, min(count, beginning.size) - offset)))
    if first > 0 { beginning.fill(UnsafeMutableRawBufferPointer(rebasing: buffer[0..<first]), from: offset) }
    guard first < buffer.count else { return }
    rest.fill(UnsafeMutableRawBufferPointer(rebasing: buffer[first...]), from: offset + Int64(first))
  }
}

/// Another content and more bytes after its end, `*` every one: for answers that are longer than they may be.
struct ExtendedContent: Content {
  let base: any Content
  let size: Int64

  func fill(_ buffer: UnsafeMutableRawBufferPointer, from offset: Int64) {
    let inside = Int(min(Int64(buffer.count), max(0, base.size - offset)))
    if inside > 0 { base.fill(UnsafeMutableRawBufferPointer(rebasing: buffer[0..<inside]), from: offset) }
    for index in inside..<buffer.count { buffer[index] = UInt8(ascii: "*") }
  }
}
