import Glibc
import MediaHubSim

/// HTTP by hand on a socket: a real client would retry, decode or refuse what these tests want to see as it came.
final class RawClient {
  enum End: Equatable { case complete, closedEarly, reset, timedOut, refused }

  struct Answer {
    var status = 0
    var headers: [String: String] = [:]
    var body: [UInt8] = []
    var end = End.complete
    var text: String { String(decoding: body, as: UTF8.self) }
    var json: JSON { (try? JSON(parsing: body)) ?? .null }
  }

  private let descriptor: Int32
  private var buffer: [UInt8] = []
  private var failure: End?

  /// Connects to `root` ("http://127.0.0.1:PORT") and sends one request; more of them, where the connection is kept.
  init(
    _ root: String, _ target: String, method: String = "GET", headers: [String: String] = [:], body: String = "",
    isKept: Bool = false
  ) {
    let port = UInt16(root.split(separator: ":").last.flatMap { Int($0) } ?? 0)
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let fd = descriptor
    let connected = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(fd, $0, size) }
    }
    guard connected == 0 else {
      failure = errno == ECONNREFUSED ? .refused : .timedOut
      return
    }
    ask(target, method: method, headers: headers, body: body, isKept: isKept)
  }

  func ask(
    _ target: String, method: String = "GET", headers: [String: String] = [:], body: String = "", isKept: Bool = false
  ) {
    var text = "\(method) \(target) HTTP/1.1\r\nHost: localhost\r\nConnection: \(isKept ? "keep-alive" : "close")\r\n"
    for (name, value) in headers { text += "\(name): \(value)\r\n" }
    if !body.isEmpty || method == "POST" { text += "Content-Length: \(body.utf8.count)\r\n" }
    let bytes = Array((text + "\r\n" + body).utf8)
    _ = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
  }

  deinit { close(descriptor) }

  /// Some bytes more; false at the end, whatever it is.
  private func fill() -> Bool {
    if failure != nil { return false }
    var part = [UInt8](repeating: 0, count: 64 << 10)
    let count = recv(descriptor, &part, part.count, 0)
    if count > 0 {
      buffer += part[0..<count]
      return true
    }
    failure = count == 0 ? .closedEarly : errno == ECONNRESET ? .reset : .timedOut
    return false
  }

  /// The headers; status 0 where the connection ended before them.
  func head() -> Answer {
    var answer = Answer()
    let mark = Array("\r\n\r\n".utf8)
    var end: Int?
    repeat { end = buffer.firstRange(of: mark)?.lowerBound } while end == nil && fill()
    guard let end else {
      answer.end = failure ?? .closedEarly
      return answer
    }
    let lines = String(decoding: buffer[0..<end], as: UTF8.self).split(separator: "\r\n")
    answer.status = lines[0].split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { continue }
      answer.headers[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
    }
    buffer.removeFirst(end + 4)
    return answer
  }

  /// `count` bytes of the body, or fewer where it ends.
  func body(_ count: Int) -> [UInt8] {
    while buffer.count < count, fill() {}
    defer { buffer.removeFirst(min(count, buffer.count)) }
    return Array(buffer.prefix(count))
  }

  /// Everything to the end of the connection.
  func rest() -> [UInt8] {
    while fill() {}
    defer { buffer = [] }
    return buffer
  }

  /// Everything, as far as the Content-Length goes.
  func answer(hasBody: Bool = true) -> Answer {
    var answer = head()
    guard answer.status != 0, hasBody else { return answer }
    let length = answer.headers["content-length"].flatMap { Int($0) } ?? 0
    answer.body = body(length)
    if answer.body.count < length { answer.end = failure ?? .closedEarly }
    return answer
  }
}

/// A simulator with one file, and the requests tests make of it.
struct Bench {
  static let id = CatalogFile.id(0xabc)
  static let size: Int64 = 300_000
  let simulator: Simulator

  init(
    _ files: [CatalogFile] = [CatalogFile(id: id, name: "Ünder test.bin", size: size)],
    _ change: (inout Simulator.Options) -> Void = { _ in }
  ) throws {
    var options = Simulator.Options()
    options.catalog = Catalog(files: files)
    change(&options)
    simulator = try Simulator(options)
  }

  func get(_ target: String, headers: [String: String] = [:]) -> RawClient.Answer {
    RawClient(target.hasPrefix("/storage/") ? simulator.storageRoot : simulator.root, target, headers: headers).answer()
  }

  func post(_ target: String, _ body: String, headers: [String: String] = [:]) -> RawClient.Answer {
    RawClient(simulator.root, target, method: "POST", headers: headers, body: body).answer()
  }

  func token(secret: String = "demo-secret", grant: String = "client_credential") -> RawClient.Answer {
    post(
      "/v1/oauth2/token/", "grant_type=\(grant)&client_id=demo-client&client_secret=\(secret)",
      headers: ["Content-Type": "application/x-www-form-urlencoded"])
  }

  var bearer: [String: String] { ["Authorization": "Bearer \(token().json["access_token"]?.string ?? "")"] }

  func download(_ id: String = id, tag: String = "tag", extra: String = "") -> RawClient.Answer {
    get("/v1/files/downloads/?file_id=\(id)&autograph_tag=\(tag)&redirect=true\(extra)", headers: bearer)
  }

  /// Path and query of a new link.
  func link(_ id: String = id, tag: String = "tag") -> String {
    let location = download(id, tag: tag).headers["location"] ?? ""
    return String(location.dropFirst(location.hasPrefix("http") ? simulator.storageRoot.count : 0))
  }

  func range(_ link: String, _ range: String, headers: [String: String] = [:]) -> RawClient.Answer {
    get(link, headers: headers.merging(["Range": "bytes=\(range)"]) { $1 })
  }

  func content(_ start: Int64 = 0, _ end: Int64 = size, tag: String = "tag", id: String = id) -> [UInt8] {
    simulator.content(file: id, tag: tag, range: .init(start, end)) ?? []
  }

  /// Waits for what another thread of the simulator is about to do.
  func until(_ condition: (Statistics) -> Bool) -> Bool {
    for _ in 0..<12_000 {
      if condition(simulator.statistics()) { return true }
      usleep(5000)
    }
    return false
  }
}
