import CPage

/// The page's files as they were compiled into the program (`CPage`): a constant, which reads no disk.
extension PageAssets {
  /// The assets that are part of the program.
  package static let program = PageAssets(
    (0..<fsmvp_page_count()).compactMap { index in
      guard let file = fsmvp_page_at(index)?.pointee else { return nil }
      return File(
        path: String(cString: file.path), type: String(cString: file.type),
        bytes: Array(UnsafeBufferPointer(start: file.bytes, count: file.length)), isOpen: file.open)
    })
}
