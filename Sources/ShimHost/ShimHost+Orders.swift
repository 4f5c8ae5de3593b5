import Core

/// Orders of a person about the shims.
extension ShimHost {
  /// The active shim finishes what its workers hold and hands over to a fresh one. Returns once the successor serves.
  package func restartShim() async throws(ShimHostError) { throw .stopped }

  /// Kills the active shim, without a word to it. Returns once its successor serves.
  package func killShim() async throws(ShimHostError) { throw .stopped }

  /// After an upgrade: standby and active shim are replaced in turn by the program on disk. Returns once the last one serves.
  package func replaceShims() async throws(ShimHostError) { throw .stopped }
}
