import Core

/// Jobs and files as the service writes them: unset keys are absent, an object that is not expanded is `{id, href}`.
/// They are answered on the connection's thread, from the catalogue in `Hub.State`.
extension Hub {
  /// `GET /v1/jobs/`.
  func jobs(_ exchange: Exchange) -> Reply {
    var query = Catalog.Query()
    query.status = exchange.query("status")
    query.autograph = exchange.query("autograph") == "true"
    query.nameContains = exchange.query("input.file.name") ?? ""
    query.isDescending = exchange.query("direction") == "-1"
    guard let start = Int(exchange.query("start") ?? "0"), start >= 0,
      let limit = Int(exchange.query("limit") ?? "1000"), limit > 0
    else {
      return .failure(400, "start and limit must be numbers.")
    }
    guard ["created_at", "updated_at"].contains(exchange.query("sort") ?? "created_at") else {
      return .failure(400, "Unknown sort key.")
    }
    query.start = start
    query.limit = min(limit, 5000)
    let (page, total, spelling) = state.withLock { state in
      let list = state.catalog.list(query)
      return (list.page, list.total, state.settings.sizeSpelling)
    }
    let expands = expandsFiles(exchange)
    return .json(
      200,
      [
        "total": .int(Int64(total)), "start": .int(Int64(start)), "limit": .int(Int64(query.limit)),
        "jobs": .array(page.map { job($0, expands: expands, spelling) }),
      ])
  }

  /// `GET /v1/jobs/{id}`.
  func job(_ id: String) -> Reply {
    let (found, spelling) = state.withLock { state in
      (state.catalog.jobs.first { $0.id == id }, state.settings.sizeSpelling)
    }
    guard let found else { return .failure(404, "No such job.") }
    return .json(200, ["job": job(found, expands: true, spelling)])
  }

  /// `GET /v1/files/{id}`.
  func file(_ id: String) -> Reply {
    let (found, spelling) = state.withLock { ($0.catalog[id], $0.settings.sizeSpelling) }
    guard let found else { return .failure(404, "No such file.") }
    return .json(200, ["file": file(found, spelling)])
  }

  private func expandsFiles(_ exchange: Exchange) -> Bool {
    exchange.query("expand_all") != nil || (exchange.query("expand") ?? "").split(separator: ",").contains("file")
  }

  private func job(_ job: CatalogJob, expands: Bool, _ spelling: Behaviour.NumberSpelling) -> JSON {
    let percentage: Int64 = job.status == "SUCCESS" ? 100 : 37
    let inputID = StableHash.hex(job.id, "input") + "000000ff"
    return [
      "id": .string(job.id),
      "status": .string(job.status),
      "percentage_completed": .int(percentage),
      "created_at": .int(job.createdAt),
      "updated_at": .int(job.createdAt + 95_000),
      "input": [
        "input_name": .string("s3://ingest/" + job.inputName),
        "file": ["id": .string(inputID), "href": .string("/v1/files/" + inputID), "name": .string(job.inputName)],
      ],
      "outputs": .array(
        job.outputs.enumerated().map { index, output in
          [
            "output_name": .string("output\(index)"),
            "percentage_completed": .int(percentage),
            "preset": ["id": "5f0000000000000000000001"],
            "file": expands && !output.isStub ? file(output, spelling) : stub(output),
          ]
        }),
    ]
  }

  private func stub(_ file: CatalogFile) -> JSON { ["id": .string(file.id), "href": .string("/v1/files/" + file.id)] }

  private func file(_ file: CatalogFile, _ spelling: Behaviour.NumberSpelling) -> JSON {
    let size: JSON =
      switch spelling {
      case .number: .int(file.size)
      case .float: .double(Double(file.size))
      case .string: .string("\(file.size)")
      }
    var members: [(String, JSON)] = [
      ("id", .string(file.id)),
      ("href", .string("/v1/files/" + file.id)),
      ("name", .string(file.name)),
      ("type", "file"),
      ("subtype", file.mimeType.hasPrefix("video/") ? "video" : "data"),
      ("mime_type", .string(file.mimeType)),
      ("size", size),
      // The service reports eight variants of each part here.
      ("size_on_disk", .int(file.size &* 8)),
      ("autograph", .bool(file.hasAutograph)),
    ]
    if file.kind != .plain { members += [("container", "mp4"), ("duration", .int(VideoTrack.milliseconds))] }
    return .object(members)
  }
}
