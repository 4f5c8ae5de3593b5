import Core

/// A small request of an API: the whole answer is kept in memory. Both types are values; `HTTPClient.perform` takes the
/// one and returns the other.
package struct HTTPRequest: Sendable {
  package enum Method: String, Sendable { case get = "GET", post = "POST" }
  package var method: Method
  package var url: String
  /// Sent as `Authorization: Bearer …`, to this URL's host only; redirects are never followed.
  package var bearer: Redacted<String>?
  /// Sent as application/x-www-form-urlencoded.
  package var form: Redacted<String>?
  package var totalTimeout: Duration

  package init(
    _ method: Method = .get, url: String, bearer: Redacted<String>? = nil, form: Redacted<String>? = nil,
    totalTimeout: Duration = .seconds(30)
  ) {
    self.method = method
    self.url = url
    self.bearer = bearer
    self.form = form
    self.totalTimeout = totalTimeout
  }
}

package struct HTTPResponse: Sendable {
  package var status: Int
  /// The Location header, verbatim and maybe secret.
  package var location: Redacted<String>?
  package var contentType: String?
  package var retryAfter: Duration?
  /// At most 16 MiB; a longer one is an error.
  package var body: [UInt8]
}
