import Core

/// A request of the kernel that waits for its answer. It is a plain value, made by `Dispatch`; a row that is used again
/// is another request.
package struct RequestID: Hashable, Sendable {
  package let index: Int
  package let generation: UInt32
  package init(index: Int, generation: UInt32) {
    self.index = index
    self.generation = generation
  }
}

/// Takes the answers of a mount's volume, from any thread. Of several answers to a request the first is taken; one to a
/// request that is not waited for any more is dropped.
package protocol Answering: AnyObject, Sendable {
  /// - Parameter directory: the one that a LOOKUP was in.
  func answer(_ request: RequestID, in directory: NodeID?, attributes: Result<Attributes, Errno>)
  func answer(_ request: RequestID, bytes: Result<[UInt8], Errno>)
  /// Whether the request still waits.
  func isWanted(_ request: RequestID) -> Bool
}

/// Answers a LOOKUP or a GETATTR: once, from any thread. Replies are values without a memory of their own, so that a
/// volume which answers at once allocates nothing.
package struct AttributesReply: Sendable {
  private let answering: any Answering
  private let request: RequestID
  private let directory: NodeID?

  package init(_ answering: any Answering, _ request: RequestID, in directory: NodeID? = nil) {
    self.answering = answering
    self.request = request
    self.directory = directory
  }

  /// False: nobody waits for the answer any more, which it is no mistake to give.
  package var isWanted: Bool { answering.isWanted(request) }

  package func callAsFunction(_ result: Result<Attributes, Errno>) {
    answering.answer(request, in: directory, attributes: result)
  }

  /// The answer of a volume that knows at once.
  package func callAsFunction(_ find: () throws(Errno) -> Attributes) {
    self(Result(catching: find))
  }
}

/// Answers a READLINK or a question for extended attributes: once, from any thread.
package struct BytesReply: Sendable {
  private let answering: any Answering
  private let request: RequestID

  package init(_ answering: any Answering, _ request: RequestID) {
    self.answering = answering
    self.request = request
  }

  package var isWanted: Bool { answering.isWanted(request) }

  package func callAsFunction(_ result: Result<[UInt8], Errno>) { answering.answer(request, bytes: result) }
}

/// The entries of a directory on their way to one READDIR. It is valid until it is finished, from any thread, and has
/// room for as many entries as the kernel asks for, 32 KiB at most.
package protocol Listing: AnyObject, Sendable {
  /// False: there is no room for the entry. Then, and at the end of the directory, `finish`. An entry whose name or
  /// cursor cannot be said is left out.
  func add(_ name: FileName, cursor: UInt64, _ attributes: Attributes) -> Bool
  /// All entries were handed over, or as many as there was room for. Once; nothing is added afterwards.
  func finish()
  /// In place of `finish`; the entries that were added are dropped.
  func fail(_ error: Errno)
  /// Whether the kernel still waits: of use to a volume that fetches entries in parts.
  var isWanted: Bool { get }
}

extension Listing {
  /// The answer of a volume that knows at once.
  package func finish(_ body: () throws(Errno) -> Void) {
    do throws(Errno) {
      try body()
      finish()
    } catch {
      fail(error)
    }
  }
}
