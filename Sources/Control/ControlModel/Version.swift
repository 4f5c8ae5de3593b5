/// The release; the same for `fsmvp version` and the API's status.
package enum Version {
  package static let current = "0.1.0"
}
