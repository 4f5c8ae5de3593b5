import Core
import Testing

@testable import MediaHubSim

struct TokenTests {
  @Test("a token's lifetime is a string, a number or absent, as set")
  func lifetime() throws {
    let bench = try Bench()
    #expect(bench.token().json["expires_in"]?.string == "7200")
    bench.simulator.set { ($0.expiresIn, $0.tokenSeconds) = (.number, 60) }
    #expect(bench.token().json["expires_in"]?.int == 60)
    bench.simulator.set { $0.expiresIn = .absent }
    #expect(bench.token().json["expires_in"] == nil)
    #expect(bench.simulator.statistics().tokensMinted == 3)
  }

  @Test("wrong credentials are 401 with a JSON body, another grant 400")
  func refusals() throws {
    let bench = try Bench { $0.clientSecret = "a+b/c=" }
    #expect(bench.token().status == 401)
    #expect(bench.token().json["error"]?.string == "invalid_client")
    #expect(bench.token(secret: "a%2Bb%2Fc%3D").status == 200)
    #expect(bench.token(secret: "a%2Bb%2Fc%3D", grant: "client_credentials").status == 400)
  }

  @Test("an expired or revoked token is 401")
  func ends() throws {
    let bench = try Bench { $0.settings.tokenSeconds = 0 }
    #expect(bench.get("/v1/jobs/", headers: bench.bearer).status == 401)
    bench.simulator.set { $0.tokenSeconds = 100 }
    let bearer = bench.bearer
    #expect(bench.get("/v1/jobs/", headers: bearer).status == 200)
    bench.simulator.revokeTokens()
    #expect(bench.get("/v1/jobs/", headers: bearer).status == 401)
    #expect(bench.get("/v1/jobs/").status == 401)
  }
}

struct JobsTests {
  @Test("the demo account has pages, newest first, of finished AutoGraph jobs only")
  func paging() throws {
    let bench = try Bench { $0.catalog = .demo }
    let query = "/v1/jobs/?status=SUCCESS&expand=file&autograph=true&limit=10&sort=created_at&direction=-1"
    let bearer = bench.bearer
    var created: [Int64] = []
    for start in stride(from: 0, to: 30, by: 10) {
      let page = bench.get(query + "&start=\(start)", headers: bearer).json
      #expect(page["total"]?.int == 25)
      created += (page["jobs"]?.items ?? []).compactMap { $0["created_at"]?.int }
    }
    #expect(created.count == 25)
    #expect(created == created.sorted(by: >))
    #expect(bench.get("/v1/jobs/", headers: bearer).json["total"]?.int == 28)
  }

  @Test("the name filter is a substring whatever its case, in UTF-8")
  func filter() throws {
    let bench = try Bench { $0.catalog = .demo }
    let found = bench.get("/v1/jobs/?input.file.name=%C3%9CBERBLICK", headers: bench.bearer).json
    #expect(found["total"]?.int == 1)
    #expect(found["jobs"]?[0]?["input"]?["file"]?["name"]?.string == "Sommerfest Überblick.mp4")
  }

  @Test("a file that is not expanded is a stub, and files/{id} completes it")
  func stubs() throws {
    let bench = try Bench()
    let bearer = bench.bearer
    let stub = bench.get("/v1/jobs/", headers: bearer).json["jobs"]?[0]?["outputs"]?[0]?["file"]
    #expect(stub?["id"]?.string == Bench.id && stub?["size"] == nil)
    let full = bench.get("/v1/jobs/?expand=file", headers: bearer).json["jobs"]?[0]
    #expect(full?["outputs"]?[0]?["file"]?["size"]?.int == Bench.size)
    let file = bench.get("/v1/files/\(Bench.id)", headers: bearer).json["file"]
    #expect(file?["size"]?.int == Bench.size && file?["name"]?.string == "Ünder test.bin")
    let job = bench.get("/v1/jobs/\(full?["id"]?.string ?? "")", headers: bearer).json["job"]
    #expect(job?["outputs"]?[0]?["file"]?["id"]?.string == Bench.id)
    bench.simulator.set { $0.sizeSpelling = .string }
    #expect(bench.get("/v1/files/\(Bench.id)", headers: bearer).json["file"]?["size"]?.string == "\(Bench.size)")
  }

  @Test("a collection without its trailing slash, and an unknown object, are 404")
  func missing() throws {
    let bench = try Bench()
    let bearer = bench.bearer
    for path in [
      "jobs", "jobs/5f", "files/5f", "files/downloads?file_id=\(Bench.id)&autograph_tag=t&redirect=true", "nothing/",
    ] {
      #expect(bench.get("/v1/" + path, headers: bearer).status == 404, "\(path)")
    }
    #expect(bench.post("/v1/oauth2/token", "").status == 404)
  }
}

struct LinkTests {
  @Test(
    "a tag of any characters reaches the storage as it was",
    arguments: ["a/b&c#d%e+f", "zwei Wörter", "日本", "a=b?c;d\"e"])
  func roundTrip(tag: String) throws {
    let bench = try Bench()
    let answer = bench.download(tag: URLText.encode(tag))
    #expect(answer.status == 302)
    #expect(answer.headers["location"]?.hasPrefix(bench.simulator.root + "/storage/") == true)
    let link = bench.link(tag: URLText.encode(tag))
    #expect(bench.get(link).body == bench.content(tag: tag))
  }

  @Test("a missing tag is 400, an unknown file 404, no bearer 401, a file without AutoGraph 400")
  func refusals() throws {
    let untagged = CatalogFile(id: CatalogFile.id(9), name: "n", size: 10, hasAutograph: false)
    let bench = try Bench([CatalogFile(id: Bench.id, name: "f", size: 10), untagged])
    #expect(bench.download(tag: "").status == 400)
    #expect(bench.download(CatalogFile.id(99)).status == 404)
    #expect(bench.download(untagged.id).status == 400)
    #expect(bench.get("/v1/files/downloads/?file_id=\(Bench.id)&autograph_tag=t&redirect=true").status == 401)
  }

  @Test("a link ends when it expires, is revoked or is altered")
  func ends() throws {
    let bench = try Bench()
    let link = bench.link()
    #expect(bench.get(link.replacing("tag=tag", with: "tag=tug")).status == 403)
    bench.simulator.revokeLinks(status: 410)
    #expect(bench.get(link).status == 410)
    #expect(bench.get(bench.link()).status == 200)
    bench.simulator.set { $0.linkSeconds = -1 }
    #expect(bench.get(bench.link()).status == 403)
  }

  @Test("a link that ends while its body is under way is served to the end; what is asked after it is 403, and counted")
  func endsMidFile() throws {
    let other = CatalogFile.id(4)
    let bench = try Bench([
      CatalogFile(id: Bench.id, name: "f", size: Bench.size), CatalogFile(id: other, name: "g", size: 9),
    ]) {
      $0.settings.linkSeconds = 1
    }
    let link = bench.link()
    bench.simulator.hold(Gate(file: Bench.id, from: 1000))
    let client = RawClient(bench.simulator.root, link)
    #expect(bench.until { $0.held == 1 })
    #expect(bench.until { _ in bench.range(link, "0-9").status == 403 })
    bench.simulator.release()
    #expect(client.answer().body == bench.content())
    _ = (bench.link(), bench.link(other))
    let statistics = bench.simulator.statistics()
    #expect(statistics.expiredLinks == 1 && statistics.revokedLinks == 0)
    #expect(statistics.linksByFile == [Bench.id: 2, other: 1])
    bench.simulator.revokeLinks()
    #expect(bench.range(link, "0-9").status == 403 && bench.simulator.statistics().revokedLinks == 1)
  }

  @Test("a link says when it ends only where it is told to, in whole seconds and no sooner than it does")
  func shownEnd() throws {
    let bench = try Bench { $0.settings.linkSeconds = 100 }
    #expect(!bench.link().lowercased().contains("expires"))
    bench.simulator.set { $0.linkExpiryShown = true }
    let before = bench.simulator.hub.wallSeconds()
    let link = bench.link()
    let end = try #require(
      link.split(separator: "&").first { $0.hasPrefix("Expires=") }.flatMap { Double($0.dropFirst(8)) })
    #expect(before + 100...bench.simulator.hub.wallSeconds() + 101 ~= end && end == end.rounded())
    #expect(bench.range(link, "0-9").status == 206)
    #expect(bench.range(link.replacing("Expires=", with: "Expires=9"), "0-9").status == 403)
    bench.simulator.set { $0.linkSeconds = -1 }
    #expect(bench.range(bench.link(), "0-9").status == 403)
  }

  @Test(
    "an expiry_time of the caller's is the link's, whatever number it is",
    arguments: ["inf", "1e300", "nan", "-1", "4000000000"])
  func wantedEnd(text: String) throws {
    let bench = try Bench()
    let path = "/v1/files/downloads/?file_id=\(Bench.id)&autograph_tag=t&redirect=true&expiry_time=\(text)"
    let location = bench.get(path, headers: bench.bearer).headers["location"] ?? ""
    #expect(bench.get(String(location.dropFirst(bench.simulator.root.count))).status == (text == "-1" ? 403 : 200))
  }

  @Test("the Location can be relative, and the storage redirect some times more")
  func hops() throws {
    let bench = try Bench { ($0.settings.relativeLocation, $0.settings.storageHops) = (true, 1) }
    let location = bench.download().headers["location"] ?? ""
    #expect(location.hasPrefix("/storage/"))
    let hop = bench.get(location)
    #expect(hop.status == 302)
    #expect(bench.get(String((hop.headers["location"] ?? "").dropFirst(bench.simulator.root.count))).status == 200)
    #expect(bench.simulator.statistics().requests["hop"] == 1)
  }

  @Test("a bearer at the storage is refused and counted")
  func authorization() throws {
    let bench = try Bench()
    #expect(bench.get(bench.link(), headers: bench.bearer).status == 400)
    #expect(bench.simulator.statistics().unwanted == ["authorization at storage": 1])
  }
}
