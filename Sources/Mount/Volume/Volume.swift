import Core

/// A file system that can be mounted. A volume owns its namespace and its bytes; it knows nothing of shims, slots or
/// HTTP.
///
/// Every call comes on the dispatch loop and returns at once. It is answered by its reply, exactly once: within the
/// call, which costs nothing more, or later from any thread. An answer is dropped if its caller waits no longer or the
/// mount has ended, and so is a second one. A node that is gone is `ESTALE`, never `ENOENT`: the kernel then walks the
/// path again. `Dispatch` makes the calls, for the one mount of the volume.
@DispatchLoop
package protocol Volume: AnyObject {
  /// Whether every mutating operation is refused with EROFS.
  var isReadOnly: Bool { get }

  /// Whether the kernel keeps the pages that it has of a file when the file is opened again. False: only as long as a
  /// file is open, which is right where the bytes of a node may change in between.
  var keepsPages: Bool { get }

  /// Whether there are extended attributes at all; fixed for the life of the mount. Without them the kernel answers all
  /// that ask for one by itself.
  var hasExtendedAttributes: Bool { get }

  /// Figures for `df`.
  var statistics: VolumeStatistics { get }

  /// Called once, before the first request.
  func attach(to host: any VolumeHost)

  /// Takes over the handles and leases that a dead control plane left (none, if none died); once, after `attach` and
  /// before the first request. The handles count as open from this call on. Each lease is taken up, with the file
  /// behind it, or revoked.
  func inherit(_ inheritance: Inheritance) async

  /// The directories that may have other entries or attributes now than a dead control plane told the kernel; asked
  /// once, after `inherit`, where the mount was taken over. The root is told in any case. Many are to be gathered in
  /// steps; nothing is to be fetched for it, as the mount serves nothing new until the answer.
  func directoriesToForget() async -> [NodeID]

  /// Fails with ENOENT for a name that is not there, ESTALE for a directory that is gone, ENOTDIR.
  func lookup(_ name: FileName, in directory: NodeID, reply: AttributesReply)

  /// Also of a removed file, as long as it is open.
  func attributes(of node: NodeID, reply: AttributesReply)

  /// Hands the entries whose cursor is greater than `cursor` to the listing, by rising cursor, until it takes no more,
  /// and finishes it. `.` and `..` are not among them. An entry's cursor never changes, so a listing taken in parts has
  /// every entry that stood throughout, once.
  func list(_ directory: NodeID, after cursor: UInt64, to listing: any Listing)

  /// The target of a symbolic link: 1 to 4,095 bytes, no NUL. The kernel asks whenever a path goes through it.
  func target(of link: NodeID, reply: BytesReply)

  /// The value of an extended attribute, at most 4,096 bytes; ENODATA for one that is not there.
  func extendedAttribute(_ name: String, of node: NodeID, reply: BytesReply)

  /// The names of its extended attributes, each with a NUL behind it; at most 4,096 bytes.
  func extendedAttributes(of node: NodeID, reply: BytesReply)

  /// Counts `handle` as open from this call on, whatever the answer, until `released`; answers with the lease to read
  /// from (nil: the file is empty). A handle that was inherited may be asked for again, as its first OPEN was not
  /// answered: it counts once.
  func open(_ node: NodeID, handle: HandleID, reply: @escaping @Sendable (Result<LeaseID?, Errno>) -> Void)

  /// Answers once all of `range` (cut to the file's size) can be read by a lease, or cannot be had.
  /// - Parameter wasBad: the bytes were vouched for before and could not be read back; they are to be fetched again.
  func read(_ node: NodeID, handle: HandleID, range: ByteRange, wasBad: Bool, reply: @escaping ReadReply)

  /// The handle is closed. `use` is what went through it.
  func released(_ node: NodeID, handle: HandleID, use: HandleUse)
}

/// A volume need not say these: pages are kept, there are neither links nor extended attributes.
extension Volume {
  package var keepsPages: Bool { true }
  package var hasExtendedAttributes: Bool { false }
  package func target(of link: NodeID, reply: BytesReply) { reply(.failure(.invalid)) }
  package func extendedAttribute(_ name: String, of node: NodeID, reply: BytesReply) { reply(.failure(.notSupported)) }
  package func extendedAttributes(of node: NodeID, reply: BytesReply) { reply(.failure(.notSupported)) }
}

/// The answer to a READ.
package enum ReadAnswer: Equatable, Sendable {
  /// These bytes are behind that lease, which is one of the same node; nil: the one that the handle was opened with.
  case bytes(ByteRange, from: LeaseID?)
  case failed(Errno)

  /// The answer of a volume whose handles read by the lease that they were opened with.
  package init(_ result: Result<ByteRange, Errno>) {
    switch result {
    case .success(let range): self = .bytes(range, from: nil)
    case .failure(let error): self = .failed(error)
    }
  }
}

/// Returns nil if the caller has gone or the answer was an error: no bytes are read by it then.
package typealias ReadReply = @Sendable (ReadAnswer) -> (any Delivery)?

/// Bytes that an answer vouches for: as long as this is under way the shim may still read them.
package protocol Delivery: Sendable {
  /// From any thread. False is for good, unless the shim did not find the bytes: then it asks again, which is another
  /// read with a delivery of its own.
  var isUnderWay: Bool { get }
}

package struct VolumeStatistics: Equatable, Sendable {
  package var bytes: Int64
  package var files: Int64
  package init(bytes: Int64, files: Int64) {
    self.bytes = bytes
    self.files = files
  }
}

/// The bytes that were read through a handle.
package struct HandleUse: Equatable, Sendable {
  /// Bytes given to the kernel, read-ahead included.
  package var bytes: Int64
  /// One past the furthest byte given.
  package var furthest: Int64
  package init(bytes: Int64 = 0, furthest: Int64 = 0) {
    self.bytes = bytes
    self.furthest = furthest
  }
}

/// A lease: index and generation of its row; never 0.
package struct LeaseID: Hashable, Sendable {
  package let rawValue: UInt64
  package init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// The right, given to the shim, to serve a file's bytes by itself where they are marked.
package protocol Lease: Sendable {
  var id: LeaseID { get }
  /// Bytes of a block; the last one of a file is cut to its length.
  var blockSize: Int64 { get }
  /// Marks blocks whose bytes are all in the file. From any thread; once marked they never change.
  func mark(_ blocks: Range<Int>)
  /// Unmarks blocks that could not be read back, before they are fetched again. From any thread.
  func unmark(_ blocks: Range<Int>)
  /// How much of each of at most `cells` equal parts of the file is marked: 0 nothing, 15 all of it. For showing it to
  /// people.
  func presence(cells: Int) -> [UInt8]
}

/// The right, given to the shim, to serve a file's blocks from frames of the mount's window, memory of its own. The
/// lease says where a block's bytes are; the volume writes them there. Both calls from any thread, and without effect
/// once the lease has ended.
package protocol WindowLease: Sendable {
  var id: LeaseID { get }
  /// Bytes of a block, and of a frame; the last block of a file is cut to its length.
  var blockSize: Int64 { get }
  /// The block's bytes, as far as they have come, are in that frame.
  /// - Parameters:
  ///   - generation: of this use of the frame; rises with every use.
  ///   - isWhole: all of the block is there, so that the shim serves it by itself. False: it reads only what an answer
  ///     vouches for.
  func put(_ block: Int, frame: Int, generation: UInt32, isWhole: Bool)
  /// Takes a block away; after this call its frame may be overwritten. A block that a delivery under way needs is not
  /// to be taken.
  func clear(_ block: Int)
  /// Stores which version of its source the file's bytes are of, for the next control plane; 0: no byte was given out.
  func note(version: UInt64)
  /// How much of each of at most `cells` equal parts of the file is in the window: 0 nothing, 15 all of it. For showing
  /// it to people.
  func presence(cells: Int) -> [UInt8]
}

/// When frames of the window were last used.
package protocol WindowUses: Sendable {
  /// When the shim last served bytes from that frame, in ns of the monotonic clock, the low 7 bits of which say how far
  /// into the frame that read went, in pages of 4 KiB; 0: never. A hint. From any thread.
  func lastUse(ofFrame frame: Int) -> UInt64
}

/// State that a dead control plane left in the region, checked for being possible; whether it is true only the volume
/// knows.
package struct Inheritance: Sendable {
  /// Open files, or files whose OPEN is under way.
  package var handles: [HandleID: NodeID]
  package var leases: [any InheritedLease]
  /// With no block in any of them: what had been there is to be fetched again.
  package var windows: [any InheritedWindow]
  /// The highest generation of a use of a frame so far; new ones go on above it, by `&+`.
  package var windowGeneration: UInt32
  package init(
    handles: [HandleID: NodeID] = [:], leases: [any InheritedLease] = [], windows: [any InheritedWindow] = [],
    windowGeneration: UInt32 = 0
  ) {
    self.handles = handles
    self.leases = leases
    self.windows = windows
    self.windowGeneration = windowGeneration
  }
}

/// A lease as it stands in the region: the shim serves its marked blocks now.
package protocol InheritedLease: Lease {
  var node: NodeID { get }
  /// The cache root's number.
  var root: Int { get }
  var name: String { get }
  var length: Int64 { get }
  /// Rising, not touching.
  var marked: [Range<Int>] { get }
}

/// A window lease that stands in the region.
package protocol InheritedWindow: WindowLease {
  var node: NodeID { get }
  var length: Int64 { get }
  /// The version that was noted last; 0: no reader has a byte of the file.
  var version: UInt64 { get }
  /// Bytes that were in the window when the control plane before this one died; readers may have them.
  var samples: [WindowSample] { get }
}

/// Some bytes of a file, as they lay in the window.
package struct WindowSample: Sendable, Equatable {
  package var offset: Int64
  package var bytes: [UInt8]
  package init(offset: Int64, bytes: [UInt8]) {
    self.offset = offset
    self.bytes = bytes
  }
}

/// Why a lease is not granted.
package enum LeaseRefusal: Error, Equatable, Sendable {
  /// All rows of the lease table are in use, or there is no run of map words as long as the file needs. A volume that
  /// revokes idle leases may ask again in the `done` of the last revocation.
  case full
  /// There is no mount, so no table.
  case notMounted
  /// The mount has no window.
  case noWindow
  /// The root, the name or the length cannot be written into a row.
  case invalid
}

/// The calls that a volume makes on its mount.
@DispatchLoop
package protocol VolumeHost: AnyObject {
  /// A lease over the file `name` (at most 63 bytes, no '/', not beginning with '.') of the cache root number `root`.
  func grantLease(node: NodeID, root: Int, name: String, length: Int64) throws(LeaseRefusal) -> any Lease

  /// Ends a lease. The file has been unlinked or is about to be; `done` comes once the shim has let go of it, and only
  /// then its space counts as free.
  func revoke(_ lease: any Lease, done: @escaping @DispatchLoop () -> Void)

  /// A lease over the window for a file of that length, with no block in it.
  func grantWindow(node: NodeID, length: Int64) throws(LeaseRefusal) -> any WindowLease

  /// Ends a window lease. `done` comes once the shim reads by it no more, and only then its frames may be another
  /// file's.
  func revoke(_ window: any WindowLease, done: @escaping @DispatchLoop () -> Void)

  /// The times of last use of the frames of the mount's window.
  var windowUses: any WindowUses { get }

  /// Makes the kernel ask again for the attributes of these nodes, and so for the entries of the directories. Call
  /// after the change is visible to lookups. `done` comes once the kernel has forgotten, which a stopped or dying shim
  /// can put off without end.
  ///
  /// The kernel is not told of more than 10,000 files one by one, if it can do without: every name is asked for again.
  /// Then a file that is open goes on with the attributes that its readers have seen.
  func invalidateAttributes(
    directories: [NodeID], files: [NodeID], done: @escaping @DispatchLoop () -> Void)

  /// Makes the kernel forget a file's cached pages; `done` comes once it has.
  func invalidatePages(of node: NodeID, done: @escaping @DispatchLoop () -> Void)

  /// The bytes that have gone through an open handle so far.
  func use(of handle: HandleID) -> HandleUse

  /// The thread that opened it, as this process's pid namespace numbers it; 0: not known, or of another namespace. It
  /// may have ended since.
  func opener(of handle: HandleID) -> Int32
}
