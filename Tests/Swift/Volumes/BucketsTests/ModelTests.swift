import Core
import Glibc
import Support
import Testing

@testable import Buckets

/// The store against a plain map: random mutations, one after the other and from many threads at once.
@Suite("Buckets against a model")
struct ModelTests {
  /// A file system of one map. `nil` is a folder.
  private struct Model: Equatable {
    var tree: [String: String?] = [:]

    func kind(_ path: String) -> String? {
      path == "/" ? "folder" : tree[path].map { $0 == nil ? "folder" : "file" }
    }
    private func parents(_ path: String) -> [String] {
      let names = path.split(separator: "/")
      return names.indices.dropFirst().map { "/" + names[..<$0].joined(separator: "/") }
    }
    private func below(_ path: String) -> [String] { tree.keys.filter { $0.hasPrefix(path + "/") } }
    private func isBlocked(_ path: String) -> Bool { parents(path).contains { kind($0) == "file" } }
    private mutating func make(_ path: String) { for parent in parents(path) { tree[parent] = .some(nil) } }

    mutating func put(_ path: String, _ text: String) -> Int {
      guard !isBlocked(path), kind(path) != "folder" else { return 409 }
      make(path)
      tree[path] = .some(text)
      return 200
    }
    mutating func makeFolder(_ path: String) -> Int {
      guard !isBlocked(path), kind(path) == nil else { return 409 }
      make(path)
      tree[path] = .some(nil)
      return 200
    }
    mutating func delete(_ path: String, isRecursive: Bool) -> Int {
      if isBlocked(path) { return 409 }
      guard kind(path) != nil else { return 404 }
      guard isRecursive || below(path).isEmpty else { return 409 }
      for other in below(path) + [path] { tree[other] = nil }
      return 200
    }
    mutating func move(_ source: String, _ target: String, overwrites: Bool) -> Int {
      if isBlocked(source) { return 409 }
      guard let kind = kind(source) else { return 404 }
      if target == source || target.hasPrefix(source + "/") { return 400 }
      if isBlocked(target) { return 409 }
      if let other = self.kind(target) {
        guard overwrites, other == kind, below(target).isEmpty else { return 409 }
        tree[target] = nil
      }
      make(target)
      for other in below(source) + [source] {
        tree[target + other.dropFirst(source.count)] = tree.removeValue(forKey: other)
      }
      return 200
    }
  }

  /// By their keys.
  private static let names = Dictionary(
    uniqueKeysWithValues: ["a", "b", " c ", "ü\n", "e\u{301}", "é"].map { (BucketWorld.key($0), $0) })

  private func path(_ dice: inout SplitMix) -> String {
    "/"
      + (0..<Int.random(in: 1...3, using: &dice)).map { _ in Self.names.keys.sorted().randomElement(using: &dice) ?? "a"
      }
      .joined(separator: "/")
  }

  private static func real(_ key: String) -> String {
    "/" + key.split(separator: "/").map { names[String($0)] ?? "" }.joined(separator: "/")
  }

  private func step(_ dice: inout SplitMix) -> (Mutation?, (inout Model) -> Int, path: String, text: String) {
    let (one, two) = (path(&dice), path(&dice))
    let text = "\(Int.random(in: 0...20, using: &dice))"
    let flag = Bool.random(using: &dice)
    func at(_ key: String) -> BucketPath { (try? BucketPath(Self.real(key))) ?? .root }
    switch Int.random(in: 0..<10, using: &dice) {
    case 0..<4: return (nil, { $0.put(one, text) }, one, text)
    case 4: return (.makeFolder(at(one)), { $0.makeFolder(one) }, one, "")
    case 5, 6: return (.delete(at(one), isRecursive: flag, .none), { $0.delete(one, isRecursive: flag) }, one, "")
    default:
      return (
        .move(from: at(one), to: at(two), overwrites: flag), { $0.move(one, two, overwrites: flag) }, one, ""
      )
    }
  }

  @Test("each of a thousand random mutations answers and changes what a plain map says; each version stays readable")
  func sequence() throws {
    let seed = UInt64.random(in: .min ... .max)
    var dice = SplitMix(seed: seed)
    let world = try BucketWorld()
    defer { BucketWorld.remove(world.folder) }
    let bucket = try world.bucket()
    var model = Model()
    var versions: [Model] = [model]
    for number in 0..<1000 {
      let (mutation, change, path, text) = step(&dice)
      let wanted = change(&model)
      let status = mutation.map { world.commit(bucket, $0) } ?? world.put(bucket, Self.real(path), text)
      try #require(status == wanted, "seed \(seed), step \(number): \(String(describing: mutation)) \(path)")
      if status == 200 { versions.append(model) }
      if number % 100 == 99 { try #require(try world.tree(bucket) == model.tree, "seed \(seed), step \(number)") }
    }
    for height in stride(from: 0, to: versions.count, by: 17) {
      let tree = try world.tree(bucket, at: .height(Int64(height)))
      #expect(tree == versions[height].tree, "seed \(seed), height \(height)")
    }
    let view = try BucketView(world.store, bucket: bucket)
    #expect(view.height == Int64(versions.count - 1), "one version for each mutation")
  }

  /// Runs it on so many threads and waits for them.
  private func crowd(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) throws {
    let threads = (0..<count).map { number in BucketThread.start("test") { body(number) } }
    for thread in threads { try #require(thread).join() }
  }

  @Test("mutations from twelve threads: no 500, and the events in their order make the bucket as it is")
  func concurrent() throws {
    let seed = UInt64.random(in: .min ... .max)
    let world = try BucketWorld()
    defer { BucketWorld.remove(world.folder) }
    let bucket = try world.bucket()
    try crowd(12) { number in
      var dice = SplitMix(seed: seed &+ UInt64(number))
      for _ in 0..<60 {
        let (mutation, _, path, text) = step(&dice)
        let status = mutation.map { world.commit(bucket, $0) } ?? world.put(bucket, Self.real(path), text)
        if ![200, 400, 404, 409].contains(status) { Issue.record("status \(status), seed \(seed)") }
      }
    }
    let view = try BucketView(world.store, bucket: bucket)
    let events = try #require(try view.events(after: 0, limit: .max))
    #expect(events.map(\.seq) == Array(1...view.bucket.seq))
    var kinds: [String: String?] = [:]
    for event in events {
      let key = BucketWorld.key(event.path)
      switch event.kind {
      case .add: kinds[key] = .some(event.etag)
      case .mkdir: kinds[key] = .some(nil)
      case .remove: for path in kinds.keys where (path + "/").hasPrefix(key + "/") { kinds[path] = nil }
      case .mv:
        let source = BucketWorld.key(try #require(event.source))
        kinds[key] = nil
        for path in kinds.keys where (path + "/").hasPrefix(source + "/") {
          kinds[key + path.dropFirst(source.count)] = kinds.removeValue(forKey: path)
        }
      }
    }
    var walk = try TreeWalk(view, folder: BucketEntry(rootOf: view.bucket), at: .root, isDeep: true)
    var found: [String: String?] = [:]
    while let (path, entry) = try walk.next() { found[BucketWorld.key(path.text)] = .some(entry.etag) }
    #expect(found == kinds, "seed \(seed)")
  }

  @Test("eight threads that add to one number under If-Match lose no update")
  func noLostUpdate() throws {
    let world = try BucketWorld()
    defer { BucketWorld.remove(world.folder) }
    let bucket = try world.bucket()
    #expect(world.put(bucket, "/n", "0") == 200)
    try crowd(8) { _ in
      for _ in 0..<25 {
        while true {
          guard let view = try? BucketView(world.store, bucket: bucket), let file = try? view.file(BucketPath("/n")),
            let text = try? world.read(file.blob, file.entry.size), let number = Int(text)
          else {
            Issue.record("the number cannot be read")
            return
          }
          let status = world.put(bucket, "/n", "\(number + 1)", .matches([file.blob.hex]))
          if status == 200 { break }
          if status != 412 { Issue.record("status \(status)") }
        }
      }
    }
    #expect(try world.tree(bucket) == ["/n": "200"])
  }

  @Test("mutations that wait together share a sync, and each has its version")
  func batches() throws {
    let world = try BucketWorld()
    defer { BucketWorld.remove(world.folder) }
    let bucket = try world.bucket()
    try crowd(16) { number in
      for index in 0..<10 where world.put(bucket, "/\(number)/\(index)", "x") != 200 {
        Issue.record("an upload failed")
      }
    }
    let view = try BucketView(world.store, bucket: bucket)
    #expect(view.height == 160)
    #expect(try view.versions(skipping: 0, limit: 1000).count == 161)
  }
}
