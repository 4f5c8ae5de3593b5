import Core
import EventLoop
import Testing
import Wire

@testable import ShimHost

/// Orders that wait for a shim's acknowledgement.
@Suite struct OrderBookLengthTests {
  init() { EventLoop.start() }

  @Test("a hundred thousand orders are acknowledged from the front, each once, and the book is empty") @DispatchLoop
  func many() {
    var book = OrderBook()
    var done = 0
    for node in 1...100_000 as ClosedRange<UInt64> { _ = book.add(.invalidateAttributes(nodes: [node])) { done += 1 } }
    #expect(book.count == 100_000 && book.frames.count == 100_000)
    for number in 1...100_000 as ClosedRange<UInt64> {
      let answer = book.acknowledge(number)
      #expect(answer.isKnown)
      answer.done?()
    }
    #expect(done == 100_000 && book.count == 0 && book.frames.isEmpty)
    #expect(!book.acknowledge(100_000).isKnown && !book.acknowledge(0).isKnown && !book.acknowledge(.max).isKnown)
  }

  @Test("orders acknowledged out of turn, twice or never are told apart, and what waits is said again in its order")
  @DispatchLoop
  func outOfTurn() {
    var book = OrderBook()
    var done: [UInt64] = []
    for node in 1...200 as ClosedRange<UInt64> { _ = book.add(.revoked(lease: node)) { done.append(node) } }
    for number in (2...200 as ClosedRange<UInt64>).reversed() where number % 2 == 0 { book.acknowledge(number).done?() }
    #expect(done == stride(from: 200, through: 2, by: -2).map { UInt64($0) })
    #expect(!book.acknowledge(4).isKnown && book.count == 100)
    #expect(
      book.frames == stride(from: 1, to: 200, by: 2).map { Order.revoked(lease: UInt64($0)).frame(number: UInt64($0)) })
    for number in stride(from: 1, to: 199, by: 2) { #expect(book.acknowledge(UInt64(number)).isKnown) }
    #expect(book.count == 1 && book.frames.count == 1)
    #expect(book.add(.revoked(lease: 9)) == Order.revoked(lease: 9).frame(number: 201))
    done = []
    for rest in book.abandon() { rest() }
    #expect(done == [199] && book.count == 0 && !book.acknowledge(201).isKnown)
    #expect(book.add(.revoked(lease: 9)) == Order.revoked(lease: 9).frame(number: 202))
    #expect(book.acknowledge(202).isKnown)
  }
}
