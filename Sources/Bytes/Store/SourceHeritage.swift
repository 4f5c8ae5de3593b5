import ByteSource
import CXXHash
import Core

/// Describes the version of a file that its readers already have bytes of, for a store that serves the same readers
/// next: after the death of a control plane, or beside a file whose disk is full. It is a value that goes from one
/// store to the next.
package struct SourceHeritage: Sendable, Equatable {
  /// A part of the file and the XXH3-64 of its bytes.
  package struct Sample: Sendable, Equatable {
    package var range: ByteRange
    package var sum: UInt64
    package init(range: ByteRange, sum: UInt64) {
      self.range = range
      self.sum = sum
    }
    package init(at offset: Int64, _ bytes: [UInt8]) {
      self.init(range: ByteRange(offset, offset + Int64(bytes.count)), sum: Self.sum(bytes))
    }
    package static func sum(_ bytes: [UInt8]) -> UInt64 {
      bytes.withUnsafeBytes { cxxhash($0.baseAddress, $0.count, 0) }
    }
  }

  /// The validators under which the bytes came.
  package var validators: [Validator]
  /// `Validator.word` of validators that are not known in full; never 0.
  package var words: [UInt64]
  package var samples: [Sample]

  package init(validators: [Validator] = [], words: [UInt64] = [], samples: [Sample] = []) {
    self.validators = validators
    self.words = words.filter { $0 != 0 }
    self.samples = samples
  }

  /// No reader has a byte of the file.
  package var isEmpty: Bool { validators.isEmpty && words.isEmpty && samples.isEmpty }
}

/// Says how the file at the origin turned out to be another than the one that readers have bytes of.
package enum SourceChange: Sendable, Equatable {
  /// The bytes, or the validators with nothing left to compare, are of another version. Missing bytes are refused while
  /// this store stands.
  case refused
  /// The origin's file has this many bytes. Missing bytes are refused while this store stands.
  case otherLength(Int64)
  /// Bytes that an earlier process left were dropped, because the origin has another version now. No reader of this
  /// store had any of them; the kernel may.
  case startedAfresh
}
