import ControlModel
import ControlRoutes
import MediaHub
import Staging
import Testing

@testable import ControlAPI
@testable import ControlAPIFakes

/// The shapes are used from outside: a change of these strings is a change of the contract.
@Suite("JSON shapes")
struct ControlJSONTests {
  private func json(_ value: some Encodable) throws -> String {
    String(decoding: try ControlJSON.encode(value), as: UTF8.self)
  }

  @Test("status")
  func status() throws {
    #expect(
      try json(ControlStatus.example)
        == #"{"bytesFetched":1073741824,"bytesServed":5,"cancelled":9,"mount":"/mnt/x","openHandles":2,"pid":41,"readsLeased":6,"#
        + #""requestsForwarded":7,"shim":{"epoch":3,"lastOutageMilliseconds":1.26,"pid":42,"restarts":2,"standbyPid":43,"#
        + #""state":"serving"},"slotsFull":8,"socket":"/run/x/api.sock","staged":1,"uptimeSeconds":3725,"version":"9.9.9"}"#
    )
  }

  @Test("a page of jobs")
  func jobs() throws {
    let output = MediaHubOutput(fileId: "f", name: "a/b.mp4", size: 9_007_199_254_740_993, contentType: "video/mp4")
    let page = MediaHubPage(jobs: [MediaHubJob(id: "j", name: "n", outputs: [output])], total: 57, start: 20, limit: 5)
    #expect(
      try json(page)
        == #"{"jobs":[{"id":"j","name":"n","outputs":[{"contentType":"video/mp4","fileId":"f","name":"a/b.mp4","size":9007199254740993}]}],"#
        + #""limit":5,"start":20,"total":57}"#)
  }

  @Test("a staged item, without a failure and with one")
  func item() throws {
    #expect(
      try json(StagedItem.example())
        == #"{"bytesFetched":999,"bytesRead":0,"bytesServed":2048,"fileId":"f-i1","id":"i1","map":"","name":"video.mp4","openRef":0,"#
        + #""path":"/mnt/x/Staged/i1/video.mp4","pinned":false,"readers":[],"recipient":"alice","size":1000,"state":"ready","tileRef":1,"windowed":false}"#
    )
    #expect(try json(StagedItem.example(failure: "gone")).contains(#""failure":"gone""#))
  }

  @Test("the cache, and what a clearing of it brought")
  func cache() throws {
    let report = CacheReport(
      folder: "/c", bytes: 3, reserved: 4, limit: 70, free: 50, minFree: 5, leftovers: .init(files: 1, bytes: 1),
      leaving: 2,
      items: [.init(id: "i", name: "n", bytes: 1, pinned: true, open: false, lastUsed: 9)])
    #expect(
      try json(report)
        == #"{"bytes":3,"folder":"/c","free":50,"items":[{"bytes":1,"id":"i","lastUsed":9,"name":"n","open":false,"pinned":true}],"#
        + #""leaving":2,"leftovers":{"bytes":1,"files":1},"limit":70,"minFree":5,"reserved":4,"windowBytes":0,"windowLimit":0}"#
    )
    #expect(try json(CacheCleared(items: 1, bytes: 2)) == #"{"bytes":2,"items":1}"#)
  }

  @Test("trace")
  func trace() throws {
    #expect(
      try json(
        TraceReport(ops: [
          .init(op: "read", segments: [.init(segment: "total", count: 2, p50us: 1, p99us: 2.5, maxus: 3)])
        ]))
        == #"{"loops":[],"ops":[{"op":"read","segments":[{"count":2,"maxus":3,"p50us":1,"p99us":2.5,"segment":"total"}]}]}"#
    )
  }

  @Test("an error")
  func error() throws {
    #expect(
      try json(ControlErrorBody(ControlError(.noSuchItem, "nothing is “staged” as \"x\"")))
        == #"{"error":{"code":"no_such_item","message":"nothing is “staged” as \"x\""}}"#)
  }

  @Test(
    "each failure of the modules below has its code and status",
    arguments: [
      (StagingError.noSuchItem("m"), "no_such_item", 404),
      (StagingError.noSuchFile("m"), "no_such_file", 404),
      (StagingError.invalid("m"), "invalid", 400),
      (StagingError.failed("m"), "failed", 500),
      (StagingError.service(.unreachable("m")), "service_unreachable", 502),
      (StagingError.service(.refused("m")), "service_refused", 502),
      (StagingError.service(.malformed("m")), "service_malformed", 502),
      (StagingError.service(.notFound("m")), "no_such_file", 404),
      (MediaHubError.unreachable("m"), "service_unreachable", 502),
      (MediaHubError.refused("m"), "service_refused", 502),
      (ControlError(.stopping, "m"), "stopping", 503),
    ] as [(any Error, String, Int)])
  func mapping(error: any Error, code: String, status: Int) {
    let mapped = ControlError(thrown: error)
    #expect(mapped.code.rawValue == code)
    #expect(mapped.code.status == status)
    #expect(mapped.message == "m")
  }

  @Test("an error nobody foresaw keeps its text to itself")
  func unforeseen() {
    struct Surprise: Error { let secret = "s3cret" }
    let mapped = ControlError(thrown: Surprise())
    #expect(mapped.code == .failed)
    #expect(!mapped.message.contains("s3cret"))
  }
}
