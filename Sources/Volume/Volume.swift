import Core

/// What can be mounted. A volume owns its namespace and its bytes; it knows nothing of shims, slots or HTTP.
///
/// Every call comes on the dispatch loop and returns at once; what takes time (the first open of a file, a read of missing bytes) is answered
/// through its `reply`, exactly once, from any thread. A node that is gone is `ESTALE`, never `ENOENT`: the kernel then walks the path again.
@DispatchLoop
package protocol Volume: AnyObject {
  /// Whether every mutating operation is refused with EROFS.
  var isReadOnly: Bool { get }

  /// Figures for `df`.
  var statistics: VolumeStatistics { get }

  /// Called once, before the first request.
  func attach(to host: any VolumeHost)

  /// What a control plane that died left open and leased (nothing, where none did); once, after `attach` and before the first request. The handles
  /// count as open from this call on. Each lease is taken up, with the file behind it, or revoked.
  func inherit(_ inheritance: Inheritance) async

  /// - Throws: ENOENT for a name that is not there, ESTALE for a directory that is gone, ENOTDIR.
  func lookup(_ name: FileName, in directory: NodeID) throws(Errno) -> Attributes

  /// Also of a removed file, as long as it is open.
  func attributes(of node: NodeID) throws(Errno) -> Attributes

  /// Hands the entries whose cursor is greater than `cursor` to `take`, by rising cursor, until it says false. `.` and `..` are not among them.
  /// An entry's cursor never changes, so a listing taken in parts has every entry that stood throughout, once.
  func list(_ directory: NodeID, after cursor: UInt64, take: (FileName, UInt64, Attributes) -> Bool) throws(Errno)

  /// Counts `handle` as open from this call on, whatever the answer, until `released`; answers with the lease to read from (nil: the file is empty).
  /// A handle that was inherited may be asked for again, as its first OPEN was not answered: it counts once.
  func open(_ node: NodeID, handle: HandleID, reply: @escaping @Sendable (Result<LeaseID?, Errno>) -> Void)

  /// Answers once all of `range` (cut to the file's size) can be read by a lease, or cannot be had.
  /// - Parameter wasBad: the bytes were vouched for before and could not be read back; they are to be fetched again.
  func read(_ node: NodeID, handle: HandleID, range: ByteRange, wasBad: Bool, reply: @escaping ReadReply)

  /// The handle is closed. `use` is what went through it.
  func released(_ node: NodeID, handle: HandleID, use: HandleUse)
}

/// What a READ gets.
package enum ReadAnswer: Equatable, Sendable {
  /// These bytes are behind that lease, which is one of the same node; nil: the one that the handle was opened with.
  case bytes(ByteRange, from: LeaseID?)
  case failed(Errno)

  /// Of a volume whose handles read by the lease that they were opened with.
  package init(_ result: Result<ByteRange, Errno>) {
    switch result {
    case .success(let range): self = .bytes(range, from: nil)
    case .failure(let error): self = .failed(error)
    }
  }
}

/// Returns nil where the caller has gone or the answer was an error: nobody reads by it.
package typealias ReadReply = @Sendable (ReadAnswer) -> (any Delivery)?

/// Bytes that an answer vouches for: as long as this is under way the shim may still read them.
package protocol Delivery: Sendable {
  /// From any thread. False is for good, unless the shim did not find the bytes: then it asks again, which is another read with a delivery of its own.
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

/// What was read through a handle.
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
  /// How much of each of at most `cells` equal parts of the file is marked: 0 nothing, 15 all of it. For showing it to people.
  func presence(cells: Int) -> [UInt8]
}

/// The right, given to the shim, to serve a file's blocks from places of the mount's window, memory of its own. Where a block's bytes are is said here;
/// who writes them there is the volume. Both calls from any thread, and without effect once the lease has ended.
package protocol WindowLease: Sendable {
  var id: LeaseID { get }
  /// Bytes of a block, and of a place; the last block of a file is cut to its length.
  var blockSize: Int64 { get }
  /// The block's bytes, as far as they have come, are in that place.
  /// - Parameters:
  ///   - generation: of this use of the place; rises with every use.
  ///   - isWhole: all of the block is there, so that the shim serves it by itself. False: it reads only what an answer vouches for.
  func put(_ block: Int, place: Int, generation: UInt32, isWhole: Bool)
  /// Takes a block away; after this call its place may be overwritten. A block that a delivery under way needs is not to be taken.
  func clear(_ block: Int)
  /// Which version of its source the file's bytes are of, for a control plane that comes after this one; 0: not known.
  func note(version: UInt64)
  /// How much of each of at most `cells` equal parts of the file is in the window: 0 nothing, 15 all of it. For showing it to people.
  func presence(cells: Int) -> [UInt8]
}

/// When places of the window were last used.
package protocol WindowUses: Sendable {
  /// When the shim last served bytes from that place, in ns of the monotonic clock, the low 7 bits of which say how far into the place that read
  /// went, in pages of 4 KiB; 0: never. A hint. From any thread.
  func lastUse(ofPlace place: Int) -> UInt64
}

/// What a dead control plane left in the region, checked for being possible; whether it is true only the volume knows.
package struct Inheritance: Sendable {
  /// Open files, or files whose OPEN is under way.
  package var handles: [HandleID: NodeID]
  package var leases: [any InheritedLease]
  /// With no block in any of them: what had been there is to be fetched again.
  package var windows: [any InheritedWindow]
  /// The highest generation of a use of a place so far; new ones go on above it, by `&+`.
  package var windowGeneration: UInt32
  package init(
    handles: [HandleID: NodeID] = [:], leases: [any InheritedLease] = [], windows: [any InheritedWindow] = [], windowGeneration: UInt32 = 0
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
  var version: UInt64 { get }
}

/// What a volume asks of whoever mounts it.
@DispatchLoop
package protocol VolumeHost: AnyObject {
  /// A lease over the file `name` (at most 63 bytes, no '/', not beginning with '.') of the cache root number `root`; nil where the table is full.
  func grantLease(node: NodeID, root: Int, name: String, length: Int64) -> (any Lease)?

  /// Ends a lease. The file has been unlinked or is about to be; `done` comes once the shim has let go of it, and only then its space counts as free.
  func revoke(_ lease: any Lease, done: @escaping @DispatchLoop () -> Void)

  /// A lease over the window for a file of that length, with no block in it; nil where the table is full or the mount has no window.
  func grantWindow(node: NodeID, length: Int64) -> (any WindowLease)?

  /// Ends a window lease. `done` comes once the shim reads by it no more, and only then its places may be another file's.
  func revoke(_ window: any WindowLease, done: @escaping @DispatchLoop () -> Void)

  /// Of the mount's window.
  var windowUses: any WindowUses { get }

  /// Makes the kernel ask again for the attributes (and so, for a directory, the entries) of these nodes. Call after the change is visible to
  /// lookups. `done` comes once the kernel has forgotten, which a stopped or dying shim can put off without end.
  func invalidateAttributes(of nodes: [NodeID], done: @escaping @DispatchLoop () -> Void)

  /// Makes the kernel forget a file's cached pages; `done` comes once it has.
  func invalidatePages(of node: NodeID, done: @escaping @DispatchLoop () -> Void)

  /// What has gone through an open handle so far.
  func use(of handle: HandleID) -> HandleUse

  /// The thread that opened it, as this process's pid namespace numbers it; 0: not known, or of another namespace. It may have ended since.
  func opener(of handle: HandleID) -> Int32
}
