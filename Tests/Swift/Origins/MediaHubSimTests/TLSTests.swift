import Core
import Glibc
import Support
import Testing

@testable import MediaHubSim

/// A folder with a certificate that openssl made, signed by itself.
private final class PEMFolder {
  let path: String

  init(names: String) throws {
    path = try TestFolder.make("pem")
    let made = shell(
      "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext 'subjectAltName=\(names)' -keyout "
        + "'\(path)/key.pem' "
        + "-out '\(path)/cert.pem' 2>&1")
    #expect(made.status == 0, "\(made.output)")
  }

  deinit {
    unlink(path + "/key.pem")
    unlink(path + "/cert.pem")
    rmdir(path)
  }

  func certificate() throws -> Certificate { try Certificate(file: path + "/cert.pem", keyFile: path + "/key.pem") }
}

struct TLSTests {
  private func curl(_ url: String, _ more: String) -> (output: String, status: Int32) {
    shell("curl -s -o /dev/null -w '%{http_code} %{size_download}' \(more) '\(url)'")
  }

  @Test("the storage alone can have a certificate, which a client refuses unless it knows it")
  func storageAlone() throws {
    let pems = try PEMFolder(names: "IP:127.0.0.1")
    let bench = try Bench {
      $0.storagePort = 0
      $0.storageTLS = try? pems.certificate()
    }
    #expect(bench.simulator.root.hasPrefix("http://") && bench.simulator.storageRoot.hasPrefix("https://"))
    let url = bench.simulator.storageRoot + bench.link()
    // 60: the peer's certificate cannot be authenticated.
    #expect(curl(url, "").status == 60)
    let known = curl(url, "--cacert '\(pems.path)/cert.pem' -r 100-299")
    #expect(known.status == 0 && known.output == "206 200")
    #expect(shell("curl -sk '\(url)' | sha256sum").output == shell("curl -s '\(contentURL(bench))' | sha256sum").output)
    bench.simulator.add(Fault(.reset(after: 1000)))
    #expect(curl(url, "-k").status != 0)
    bench.simulator.refuse(true)
    #expect(curl(url, "-k").status == 7)
  }

  private func contentURL(_ bench: Bench) -> String { bench.simulator.root + "/_sim/content?file=\(Bench.id)&tag=tag" }

  @Test("a certificate of another host is refused for that; for both ports there can be one")
  func wrongHost() throws {
    let pems = try PEMFolder(names: "DNS:elsewhere.example")
    let bench = try Bench { $0.tls = try? pems.certificate() }
    let url = bench.simulator.root + "/v1/jobs/"
    #expect(url.hasPrefix("https://"))
    #expect(curl(url, "--cacert '\(pems.path)/cert.pem'").status == 60)
    let port = url.split(separator: ":")[2].prefix { $0 != "/" }
    let named = "--cacert '\(pems.path)/cert.pem' --connect-to elsewhere.example:443:127.0.0.1:\(port)"
    #expect(curl("https://elsewhere.example/v1/jobs/", named).output.hasPrefix("401 "))
    #expect(bench.simulator.storageRoot == bench.simulator.root)
  }

  @Test("junk follows an answer inside of its TLS session")
  func junk() throws {
    let pems = try PEMFolder(names: "IP:127.0.0.1")
    let bench = try Bench([CatalogFile(id: Bench.id, name: "f", size: Bench.size)]) {
      $0.storagePort = 0
      $0.storageTLS = try? pems.certificate()
    }
    bench.simulator.add(Fault(.long(bytes: 5, as: .junk)))
    let ask = "GET \(bench.link()) HTTP/1.1\\r\\nHost: x\\r\\nRange: bytes=\(Bench.size - 1)-\\r\\n"
    let port = bench.simulator.storageRoot.split(separator: ":").last ?? ""
    let both = shell(
      "printf '%b' '\(ask)\\r\\n\(ask)Connection: close\\r\\n\\r\\n' "
        + "| timeout 20 openssl s_client -quiet -connect 127.0.0.1:\(port) 2>/dev/null | tr -d '\\000'")
    let answers = both.output.split(separator: "HTTP/1.1 206", omittingEmptySubsequences: false)
    #expect(answers.count == 3 && answers[1].hasSuffix("*****") && !answers[2].hasSuffix("*****"))
  }

  @Test("a key of another certificate, and what is no PEM, are refused at the start")
  func refused() throws {
    let (one, other) = (try PEMFolder(names: "IP:127.0.0.1"), try PEMFolder(names: "IP:127.0.0.1"))
    let mixed = try Certificate(file: one.path + "/cert.pem", keyFile: other.path + "/key.pem")
    #expect(throws: SimulatorError.self) { try Bench { $0.tls = mixed } }
    #expect(throws: SimulatorError.self) { try Bench { ($0.storagePort, $0.storageTLS) = (0, mixed) } }
    #expect(throws: SimulatorError.self) { try Bench { $0.storageTLS = mixed } }
    #expect(throws: SimulatorError.self) { try Certificate(file: "/dev/null", keyFile: one.path + "/key.pem") }
    let options = try MediaHubSimProgram.parse([
      "--storage-tls-cert", one.path + "/cert.pem", "--storage-tls-key", one.path + "/key.pem",
    ])
    #expect(options?.storagePort == 0 && options?.storageTLS != nil && options?.tls == nil)
  }
}
