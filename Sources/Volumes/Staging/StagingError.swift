import ControlModel
import ControlRoutes
import MediaHub

/// One sentence each, fit for a person. It says why an order about staged items was not done, and is a value without
/// state.
package enum StagingError: Error, Sendable, Equatable {
  /// Nothing is staged by that id or path.
  case noSuchItem(String)
  /// The service has no such file, and no job with one output.
  case noSuchFile(String)
  /// The request is wrong: an empty recipient, a job with several outputs...
  case invalid(String)
  /// The service refused or is unreachable.
  case service(MediaHubError)
  /// We cannot: no space, the journal cannot be written, stopping.
  case failed(String)
}

extension StagingError: Explained {
  package var code: ControlError.Code {
    switch self {
    case .noSuchItem: .noSuchItem
    case .noSuchFile: .noSuchFile
    case .invalid: .invalid
    case .service(let error): error.code
    case .failed: .failed
    }
  }

  package var sentence: String {
    switch self {
    case .noSuchItem(let sentence), .noSuchFile(let sentence), .invalid(let sentence), .failed(let sentence): sentence
    case .service(let error): error.sentence
    }
  }
}
