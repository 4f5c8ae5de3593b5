import Core
import Glibc
import Support
import Testing

@testable import Buckets

/// The store over time: versions that are given up, crashes, damage, repeated requests.
@Suite("The bucket store")
struct BucketStoreTests {
  @Test("versions that are not kept go, with the bytes that only they had; those that are kept stay whole")
  func pruning() async throws {
    let world = try BucketWorld(keptVersions: 5)
    defer { BucketWorld.remove(world.folder) }
    let bucket = try world.bucket()
    #expect(world.put(bucket, "/kept", "kept") == 200)
    for index in 0..<30 { #expect(world.put(bucket, "/folder/deep/\(index)", "file \(index)") == 200) }
    #expect(world.commit(bucket, .delete(try BucketPath("/folder"), isRecursive: true, .none)) == 200)
    // Height 64 is when the bucket is looked at.
    while try BucketView(world.store, bucket: bucket).height < 64 {
      #expect(world.put(bucket, "/often", "\(try BucketView(world.store, bucket: bucket).height)") == 200)
    }
    try await until { try BucketView(world.store, bucket: bucket).bucket.oldest == 60 && world.blobs.count == 6 }
    #expect(try world.tree(bucket) == ["/kept": "kept", "/often": "63"])
    #expect(try world.tree(bucket, at: .height(60)) == ["/kept": "kept", "/often": "59"])
    #expect(throws: BucketError.self) { try world.tree(bucket, at: .height(59)) }
    try world.rows("SELECT count(*) FROM entries") { #expect($0 == 6) }
  }

  @Test("a blob that a request is about to refer to is not removed, and one in a version that is kept neither")
  func uses() throws {
    let world = try BucketWorld()
    defer { BucketWorld.remove(world.folder) }
    let use = try world.blob("in use")
    world.store.blobs.remove([use.blob])
    #expect(world.blobs == [use.blob.hex])
    let blob = use.blob
    _ = consume use
    world.store.blobs.remove([blob])
    #expect(world.blobs.isEmpty)
  }

  @Test("after a crash, blobs that no version refers to and temporary files are swept")
  func sweep() async throws {
    let folder: String
    let bucket: String
    do {
      let world = try BucketWorld()
      folder = world.folder
      bucket = try world.bucket()
      #expect(world.put(bucket, "/stored", "stored") == 200)
      _ = try world.blob("an upload whose transaction never came")
      let half = clinux(folder + "/buckets/blobs/new/half")
      #expect(half)
      #expect(world.blobs.count == 2)
      // No close: what a kill leaves.
      world.store.unlock()
    }
    let world = try BucketWorld(folder: folder)
    defer { BucketWorld.remove(folder) }
    try await until { world.blobs.count == 1 }
    #expect(try world.tree(bucket) == ["/stored": "stored"])
    #expect(BlobStore.names(in: folder + "/buckets/blobs/new").isEmpty)
  }

  private func clinux(_ path: String) -> Bool {
    let descriptor = Glibc.open(path, O_WRONLY | O_CREAT, 0o600)
    defer { close(descriptor) }
    return write(descriptor, "half", 4) == 4
  }

  @Test("a damaged list is put aside and reported; the bytes of its files stay")
  func damage() throws {
    let folder: String
    do {
      let world = try BucketWorld()
      folder = world.folder
      #expect(world.put(try world.bucket(), "/stored", "stored") == 200)
      world.store.close()
      world.store.unlock()
    }
    defer { BucketWorld.remove(folder) }
    let path = folder + "/buckets/buckets.sqlite"
    let descriptor = Glibc.open(path, O_WRONLY)
    #expect(pwrite(descriptor, [UInt8](repeating: 7, count: 4096), 4096, 0) == 4096)
    close(descriptor)
    let world = try BucketWorld(folder: folder)
    #expect(try world.store.buckets(prefix: "", limit: 10).isEmpty)
    #expect(BlobStore.names(in: folder + "/buckets").contains { $0.hasPrefix("buckets.sqlite.damaged-") })
    #expect(world.blobs.count == 1)
  }

  @Test("a list of a newer version is refused and not touched, and so is a second control plane")
  func newer() throws {
    let world = try BucketWorld()
    defer { BucketWorld.remove(world.folder) }
    #expect(throws: BucketStore.Failure.self) { try BucketWorld(folder: world.folder) }
    world.store.close()
    world.store.unlock()
    try world.rows("PRAGMA user_version = 99") { _ in }
    let failure = #expect(throws: BucketStore.Failure.self) { try BucketWorld(folder: world.folder) }
    #expect(failure?.sentence.contains("newer version (schema 99") == true)
  }

  @Test("a request with the same Idempotency-Key is answered with the first answer, and done once")
  func idempotency() throws {
    let world = try BucketWorld()
    defer { BucketWorld.remove(world.folder) }
    let bucket = try world.bucket()
    for _ in 0..<3 { #expect(world.put(bucket, "/once", "text", key: "k") == 200) }
    #expect(world.put(bucket, "/once", "other", key: "k") == 422)
    #expect(world.put(bucket, "/twice", "text", key: "other") == 200)
    let folder = Mutation.makeFolder(try BucketPath("/f"))
    #expect(world.commit(bucket, folder, key: "f", request: "f") == 200)
    #expect(world.commit(bucket, folder, key: "f", request: "f") == 200)
    #expect(world.commit(bucket, folder) == 409)
    #expect(try BucketView(world.store, bucket: bucket).height == 3)
    for _ in 0..<2 { #expect(world.commit(nil, .create(name: "same"), key: "c", request: "c") == 201) }
    #expect(try world.store.buckets(named: "same").count == 1)
  }

  @Test("a version is found by its link and by its height; a file is read as it was")
  func versions() throws {
    let world = try BucketWorld()
    defer { BucketWorld.remove(world.folder) }
    let bucket = try world.bucket()
    for text in ["one", "two", "three"] { #expect(world.put(bucket, "/f", text) == 200) }
    let versions = try BucketView(world.store, bucket: bucket).versions(skipping: 0, limit: 10)
    #expect(versions.map(\.height) == [3, 2, 1, 0])
    #expect(try world.tree(bucket, at: .link(versions[1].link)) == ["/f": "two"])
    #expect(try world.tree(bucket, at: .height(0)) == [:])
    #expect(throws: BucketError.self) { try world.tree(bucket, at: .height(4)) }
    #expect(throws: BucketError.self) { try BucketView.Reference("-1") }
  }

  /// Every pair of a precondition's outcome and a policy.
  @Test("an upload over another version: refused, stored beside it, or in its place; the same bytes are no conflict")
  func conflicts() throws {
    let world = try BucketWorld()
    defer { BucketWorld.remove(world.folder) }
    let bucket = try world.bucket()
    let old = ContentHash.of("old").hex
    #expect(world.put(bucket, "/n.txt", "new") == 200)
    #expect(world.put(bucket, "/n.txt", "mine", .matches([old])) == 412)
    #expect(world.put(bucket, "/n.txt", "mine", .matchesNone([])) == 412)
    #expect(world.put(bucket, "/n.txt", "new", .matches([old])) == 412)
    #expect(world.put(bucket, "/n.txt", "new", .matches([old]), .file) == 200, "these bytes are there")
    #expect(try BucketView(world.store, bucket: bucket).height == 1)
    for _ in 0..<2 { #expect(world.put(bucket, "/n.txt", "mine", .matches([old]), .file) == 200) }
    let beside = "/n.txt@" + ContentHash.of("mine").hex.prefix(8)
    #expect(try world.tree(bucket) == ["/n.txt": "new", beside: "mine"])
    let view = try BucketView(world.store, bucket: bucket)
    #expect(view.height == 2)
    #expect(try view.conflicts().map(\.other) == [beside])
    #expect(world.put(bucket, "/n.txt", "last", .matches([old]), .overwrite) == 200)
    #expect(world.put(bucket, "/gone", "edit", .matches([old]), .file) == 200, "an edit makes a deleted file again")
    #expect(world.put(bucket, "/gone2", "edit", .matches([old])) == 412)
    #expect(try world.tree(bucket) == ["/n.txt": "last", beside: "mine", "/gone": "edit"])
    let path = try BucketPath("/n.txt")
    #expect(world.commit(bucket, .delete(path, isRecursive: true, .matches([old]))) == 412)
    #expect(world.commit(bucket, .delete(path, isRecursive: true, .matches([ContentHash.of("last").hex]))) == 200)
  }

  @Test("a name that is too long for a file beside it loses its end, at a character")
  func longNames() {
    let name = BucketName(String(repeating: "ü", count: 127))
    let beside = name.beside(ContentHash.of("x"), digits: 8)
    #expect(beside.fault == nil && beside.bytes.count == 255 && beside.text.hasSuffix("ü@2d711642"))
  }

  /// Waits for what the store's thread does.
  private func until(_ claim: () throws -> Bool) async throws {
    for _ in 0..<6000 {
      if try claim() { return }
      try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record("it did not come true")
  }
}

extension BucketWorld {
  /// The first column of each row, by a connection of its own.
  func rows(_ sql: String, _ take: (Int64) -> Void) throws {
    let database = try Database(path: folder + "/buckets/buckets.sqlite")
    try database.run(sql) { take($0.integer(0)) }
  }
}
