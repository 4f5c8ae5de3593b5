import Buckets
import ControlModel
import ControlRoutes
import EventLoop
import Glibc
import Testing

@testable import ControlAPI
@testable import ControlAPIFakes

/// docs/openapi.json, as far as this side can hold to it; Tests/Mount/api/test_openapi.py holds real answers to it.
@Suite("The API's description")
struct OpenAPITests {
  init() { EventLoop.start() }

  private struct Document: Decodable {
    struct Operation: Decodable {
      struct Parameter: Decodable {
        var name: String
        var `in`: String
      }
      var parameters: [Parameter]?
    }
    struct Components: Decodable {
      struct Schema: Decodable {
        struct Property: Decodable {
          var properties: [String: Property]?
          var `enum`: [String]?
        }
        var properties: [String: Property]?
      }
      struct Response: Decodable {
        struct Content: Decodable { var schema: Schema }
        var content: [String: Content]
      }
      var schemas: [String: Schema]
      var responses: [String: Response]
    }
    var paths: [String: [String: Operation]]
    var components: Components
  }

  private static func document() throws -> Document {
    let path = #filePath.replacing("Tests/Swift/Control/ControlAPITests/OpenAPITests.swift", with: "docs/openapi.json")
    let descriptor = open(path, O_RDONLY)
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = read(descriptor, &bytes, bytes.count)
    try #require(count > 0)
    return try ControlJSON.decode(Document.self, from: Array(bytes.prefix(count)))
  }

  @Test("every route of the API stands in it with its parameters, and nothing else does")
  func routes() async throws {
    // The page and its login are no API.
    let isPage = { (pattern: RoutePattern) in ["", "assets", "login"].contains(pattern.path[0]) }
    let table = RouteTable(await FakeOperations().groups).patterns.filter { !isPage($0) }.map { pattern in
      let inPath = pattern.path.filter { $0.hasPrefix("{") }.map { "path \($0.dropFirst().dropLast())" }
      let inQuery = pattern.parameters.map { "query \($0.name)" }
      return "\(pattern.method) /\(pattern.path.joined(separator: "/")) \((inPath + inQuery).sorted())"
    }
    let buckets = BucketRoutes.patterns.map { pattern in
      let inPath = pattern.path.split(separator: "/").filter { $0.hasPrefix("{") }
        .map { "path \($0.dropFirst().dropLast())" }
      return "\(pattern.method) \(pattern.path) \((inPath + pattern.parameters.map { "query \($0)" }).sorted())"
    }
    let described = try Self.document().paths.flatMap { path, operations in
      operations.map { method, operation in
        "\(method.uppercased()) \(path) \((operation.parameters ?? []).map { "\($0.in) \($0.name)" }.sorted())"
      }
    }
    #expect(described.sorted() == (table + buckets).sorted())
  }

  @Test("every code of an error stands in it, under its status")
  func codes() throws {
    let components = try Self.document().components
    let all = components.schemas["Error"]?.properties?["error"]?.properties?["code"]?.enum ?? []
    #expect(all.sorted() == ControlError.Code.allCases.map(\.rawValue).sorted())
    let names = [
      400: "Invalid", 401: "Unauthorized", 403: "Forbidden", 404: "NoSuchThing", 405: "MethodNotAllowed",
      413: "TooLarge", 421: "Misdirected", 500: "Failed",
      502: "Service", 503: "Unavailable",
    ]
    for (status, name) in names {
      let codes =
        components.responses[name]?.content["application/json"]?.schema.properties?["error"]?.properties?["code"]?.enum
        ?? []
      #expect(
        codes.sorted() == ControlError.Code.allCases.filter { $0.status == status }.map(\.rawValue).sorted(),
        "\(status)")
    }
    #expect(ControlError.Code.allCases.allSatisfy { names[$0.status] != nil })
  }
}
