import MediaHub

/// One sentence each, fit for a person.
package enum StagingError: Error, Sendable, Equatable {
  /// Not a thing we have or the service has.
  case noSuch(String)
  /// The request is wrong: an empty recipient, a job with several outputs...
  case invalid(String)
  /// The service refused or is unreachable.
  case service(MediaHubError)
  /// We cannot: no space, the journal cannot be written, stopping.
  case failed(String)
}
