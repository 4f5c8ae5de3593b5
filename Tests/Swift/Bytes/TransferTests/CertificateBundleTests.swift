import FoundationEssentials
import Support
import Testing

@testable import Transfer

/// Valid and invalid files for `ca_file`. Tests with real TLS show that servers are trusted by it, and not without it.
struct CertificateBundleTests {
  private static let one = """
    -----BEGIN CERTIFICATE-----
    MIIBgTCCASegAwIBAgIUVO4co9yd+cEzYfj3t4C+UxE3FAEwCgYIKoZIzj0EAwIw
    FTETMBEGA1UEAwwKZnNtdnAtdGVzdDAgFw0yNjExMjUwOTEzMDdaGA8yMTI2MTEw
    MTA5MTMwN1owFTETMBEGA1UEAwwKZnNtdnAtdGVzdDBZMBMGByqGSM49AgEGCCqG
    SM49AwEHA0IABNY5ke5AdQk8KPhMEvuHEpeEkBUKssPlyewQREbI5VO+hQ84JyWp
    Mz06LWEkKekNswprAxcfmbT0mXhvY5H95zqjUzBRMB0GA1UdDgQWBBRX+nF2Jx+E
    jA0gawXoYOXIF4DyGjAfBgNVHSMEGDAWgBRX+nF2Jx+EjA0gawXoYOXIF4DyGjAP
    BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQCoicBPNu2EpcKfBtc3
    H+UgBP8cAm+WORNC1xm3ZpWM/AIgfZfLjJenVOYM0t3ceRFaYpk2NHu16luU0s3y
    mOb6z+o=
    -----END CERTIFICATE-----

    """

  private func withFile(_ text: String, _ body: (String) throws -> Void) throws {
    let folder = try TestFolder.make("bundle")
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try Data(text.utf8).write(to: URL(filePath: folder + "/ca.pem"))
    try body(folder + "/ca.pem")
  }

  @Test("the file's certificates come in addition to the system's, which may lack their last line end")
  func added() throws {
    try withFile(Self.one) { path in
      try withFile(String(Self.one.dropLast())) { systemPath in
        let both = try CertificateBundle(adding: path, to: systemPath)
        #expect(both.count == 2)
      }
      #expect(try CertificateBundle(adding: path, to: "/nonexistent").count == 1)
    }
  }

  @Test("if the system has a bundle it is in ours", .enabled(if: CertificateBundle.systemFile != nil))
  func system() throws {
    try withFile(Self.one) { path in
      let both = try CertificateBundle(adding: path)
      #expect(both.count == CertificateBundle.system.count + 1)
    }
    #expect(CertificateBundle.system.count > 0)
  }

  @Test(
    "what holds no certificate, or a broken one, is refused with the setting's name",
    arguments: [
      "", "hello", String(one.dropLast(60)), one.replacing("MIIB", with: "!!!!"),
      "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
    ])
  func refused(text: String) throws {
    try withFile(text) { path in
      #expect(
        throws: CertificateBundle.Failure(
          sentence: "the file \(path) of the setting ca_file holds no certificate in PEM form")
      ) {
        try CertificateBundle(adding: path)
      }
    }
  }

  @Test("a file that cannot be read is refused with the reason")
  func unreadable() {
    let sentence = "the file /nonexistent/ca.pem of the setting ca_file cannot be read: No such file or directory"
    #expect(throws: CertificateBundle.Failure(sentence: sentence)) {
      try CertificateBundle(adding: "/nonexistent/ca.pem")
    }
    #expect(
      throws: CertificateBundle.Failure(sentence: "the file / of the setting ca_file cannot be read: Is a directory")
    ) {
      try CertificateBundle(adding: "/")
    }
  }
}
