import Core
import EventLoop
import Testing

@testable import Store

@Suite("Room in the cache")
struct CacheRoomTests {
  let gib: Int64 = 1 << 30

  init() { EventLoop.start() }

  private func limits(_ maxCache: Int64, _ minFree: Int64?) -> CacheLimits {
    var limits = CacheLimits()
    limits.maxCache = maxCache
    limits.minFree = minFree
    return limits
  }

  @Test("without settings 70 % of the disk are ours, and the smaller of 1 GiB and 5 % stays free")
  func defaults() {
    let small = CacheSpace(total: 10 * gib, free: gib, limits: CacheLimits())
    #expect(small.limit == 7 * gib && small.minFree == gib / 2)
    let large = CacheSpace(total: 1000 * gib, free: gib, limits: CacheLimits())
    #expect(large.limit == 700 * gib && large.minFree == gib)
    let set = CacheSpace(total: 1000 * gib, free: gib, limits: limits(5, 0))
    #expect(set.limit == 5 && set.minFree == 0)
    let endless = CacheSpace(total: .max, free: .max, limits: CacheLimits())
    #expect(endless.limit > 0 && endless.minFree == gib)
  }

  struct Case: Sendable {
    var size: Int64
    var used: Int64 = 0
    /// (size, still to be written) of the others on the same disk.
    var others: [(Int64, Int64)] = []
    var beside: Int64 = 0
    var free: Int64 = 100
    var maxCache: Int64 = 100
    var minFree: Int64 = 10
    /// nil: there is room.
    var short: Int64?
    var words: [String] = []
  }

  static let cases: [Case] = [
    Case(size: 90),
    Case(size: 91, short: 1, words: ["91 B needed, 100 B free", "10 B to stay free (`min_free`)"]),
    Case(size: 100, minFree: 0),
    Case(size: 101, minFree: 0, short: 1, words: ["101 B needed, 0 B of at most 100 B taken", "`max_cache`"]),
    Case(size: 50, others: [(40, 40)]),
    Case(size: 51, others: [(40, 40)], short: 1, words: ["40 B of them for other files"]),
    Case(size: 60, others: [(40, 0)], free: 70),
    Case(size: 61, others: [(40, 0)], short: 1, words: ["40 B of at most 100 B taken"]),
    Case(size: 60, others: [(20, 0)], beside: 21, short: 1, words: ["41 B of at most"]),
    Case(size: 60, used: 50, free: 20),
    Case(size: 60, used: 49, free: 20, short: 1, words: ["11 B needed, 20 B free"]),
    Case(size: 60, used: 70, free: 10),
    Case(size: .max, maxCache: .max, short: (1 << 62) - 100, words: ["min_free"]),
    Case(size: 1, others: [(.max, .max), (.max, .max)], maxCache: .max, short: (1 << 62) - 100),
  ]

  @Test("a file has room where all that is promised and taken leaves it", arguments: cases.indices)
  func table(_ index: Int) {
    let what = Self.cases[index]
    let limits = limits(what.maxCache, what.minFree)
    let claims = CacheClaims(
      limits: limits,
      others: what.others.map { .init(device: 7, size: $0.0, bytes: $0.1) } + [
        .init(device: 8, size: 1000, bytes: 1000)
      ],
      beside: what.beside)
    let space = CacheSpace(total: 1000, free: what.free, limits: limits)
    do {
      try claims.check(size: what.size, used: what.used, on: 7, space, folder: "/cache")
      #expect(what.short == nil)
    } catch {
      guard case .noRoom(let short, let sentence) = error else {
        Issue.record("\(error)")
        return
      }
      #expect(short == what.short)
      #expect(sentence.hasPrefix("no room in /cache: "))
      for word in what.words { #expect(sentence.contains(word), "\(sentence)") }
    }
  }

  @Test("what is being made counts on every disk, as it is not known yet on which it will be")
  func unknownDevice() {
    let limits = limits(100, 0)
    let claims = CacheClaims(limits: limits, others: [.init(device: nil, size: 60, bytes: 60)])
    #expect(throws: SparseStore.Failure.self) {
      try claims.check(size: 50, used: 0, on: 7, CacheSpace(total: 1000, free: 1000, limits: limits), folder: "/cache")
    }
  }

  @Test("a promise counts from the moment it is asked for until the file is on its way out, complete or not")
  @TransferLoop func reservations() {
    let budget = quickBudget()
    let (first, none) = budget.reserve(100, beside: 3)
    #expect(none.others.isEmpty && none.beside == 3)
    let (second, one) = budget.reserve(50, beside: 0)
    #expect(one.others == [.init(device: nil, size: 100, bytes: 100)])
    budget.set(first, device: 7, bytes: 30)
    #expect(budget.reserved == 80)
    budget.set(first, device: 7, bytes: 0)
    budget.release(second)
    #expect(budget.reserve(1, beside: 0).claims.others == [.init(device: 7, size: 100, bytes: 0)])
    budget.release(first)
    // A late report for a file on its way out promises nothing again.
    budget.set(first, device: 7, bytes: 30)
    #expect(budget.reserved == 1)
  }
}
