/// The release; the same for `fsmvp version` and the API's status. It is a constant.
package enum Version {
  package static let current = "0.1.0"
}
