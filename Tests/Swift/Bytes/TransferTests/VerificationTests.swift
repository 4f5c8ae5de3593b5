import Core
import EventLoop
import FoundationEssentials
import MediaHubSim
import Support
import Testing

@testable import Transfer

/// Real TLS on loopback, by certificates that openssl makes.
@Suite(.timeLimit(.minutes(10)))
struct VerificationTests {
  init() { EventLoop.start() }

  /// An authority in `ca.pem`, and a server's certificate that it signed.
  private final class Authority: Sendable {
    let folder: String

    init() throws {
      folder = try TestFolder.make("authority")
      let curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
      try run("openssl req -x509 \(curve) -days 2 -subj /CN=authority -keyout \(folder)/ca.key -out \(folder)/ca.pem")
      try run("openssl req \(curve) -subj /CN=server -keyout \(folder)/key.pem -out \(folder)/request.pem")
      try Data("subjectAltName=IP:127.0.0.1\n".utf8).write(to: URL(filePath: folder + "/names"))
      try run(
        "openssl x509 -req -in \(folder)/request.pem -CA \(folder)/ca.pem -CAkey \(folder)/ca.key -CAcreateserial "
          + "-days 2"
          + " -extfile \(folder)/names -out \(folder)/cert.pem")
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func run(_ command: String) throws { try #require(shell(command + " 2>&1").status == 0, "\(command)") }

    func simulator() throws -> Simulator {
      var options = Simulator.Options()
      options.tls = try Certificate(file: folder + "/cert.pem", keyFile: folder + "/key.pem")
      return try Simulator(options)
    }
  }

  /// By a client of its own, so by a new connection.
  @TransferLoop
  private func answer(of simulator: Simulator, by certificates: CertificateBundle?) async -> Result<Int, TransferError>
  {
    var options = HTTPClient.Options()
    options.certificates = certificates
    let client = HTTPClient(options: options)
    do throws(TransferError) {
      return .success(try await client.perform(HTTPRequest(url: simulator.baseURL + "/jobs/")).status)
    } catch { return .failure(error) }
  }

  @Test("the certificates are not read again for each connection: new ones verify after the file is gone")
  func readOnce() async throws {
    let authority = try Authority()
    let simulator = try authority.simulator()
    defer { simulator.stop() }
    let bundle = CertificateBundle(systemFile: authority.folder + "/ca.pem", folder: nil)
    #expect(bundle.count == 1)
    try FileManager.default.removeItem(atPath: authority.folder + "/ca.pem")
    for _ in 0..<3 { #expect(await answer(of: simulator, by: bundle) == .success(401)) }
  }

  @Test("a certificate that only the system's folder has is found there")
  func folder() async throws {
    let authority = try Authority()
    let simulator = try authority.simulator()
    defer { simulator.stop() }
    let hashed = authority.folder + "/hashed"
    try FileManager.default.createDirectory(atPath: hashed, withIntermediateDirectories: false)
    try FileManager.default.copyItem(atPath: authority.folder + "/ca.pem", toPath: hashed + "/ca.pem")
    #expect(shell("openssl rehash '\(hashed)'").status == 0)
    #expect(await answer(of: simulator, by: CertificateBundle(systemFile: nil, folder: hashed)) == .success(401))
  }

  @Test("a server that no certificate vouches for is refused, with the setting's name")
  func refused() async throws {
    let (authority, other) = (try Authority(), try Authority())
    let simulator = try authority.simulator()
    defer { simulator.stop() }
    for bundle in [
      nil, CertificateBundle(systemFile: other.folder + "/ca.pem", folder: nil),
      CertificateBundle(systemFile: nil, folder: nil),
    ] {
      guard case .failure(.unreachable(let text)) = await answer(of: simulator, by: bundle) else {
        Issue.record("it was believed")
        continue
      }
      #expect(text.contains("not to be trusted") && text.contains("ca_file"))
    }
  }
}
