import CWire

/// The contract between the two programs. It has constants alone; `fsmvp_wire.h` is their source.
package enum WireProtocol {
  /// Its number; programs with different ones do not work together.
  package static let abi: UInt32 = FSMVP_ABI
  /// Rows of the handle table.
  package static let handles = Int(FSMVP_HANDLES)
}
