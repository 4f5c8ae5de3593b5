/// A finished job of the service: one video in, files out. The types of this file are plain values, copies of the
/// service's answers.
package struct MediaHubJob: Sendable, Equatable, Codable {
  package var id: String
  /// The name of the video that went in, as well as the service knows it.
  package var name: String
  /// The outputs that can be staged; maybe none.
  package var outputs: [MediaHubOutput]

  package init(id: String, name: String, outputs: [MediaHubOutput]) {
    self.id = id
    self.name = name
    self.outputs = outputs
  }
}

/// A file that can be staged.
package struct MediaHubOutput: Sendable, Equatable, Codable {
  package var fileId: String
  package var name: String
  /// In bytes, exactly; 0 only where the service says so.
  package var size: Int64
  /// Without parameters; "" where the service does not say.
  package var contentType: String

  package init(fileId: String, name: String, size: Int64, contentType: String) {
    self.fileId = fileId
    self.name = name
    self.size = size
    self.contentType = contentType
  }
}

/// A part of the list of jobs, newest first.
package struct MediaHubPage: Sendable, Equatable, Codable {
  package var jobs: [MediaHubJob]
  /// Jobs on all pages together.
  package var total: Int
  /// Offset and length of the requested part, clamped to the service's bounds.
  package var start: Int
  package var limit: Int

  package init(jobs: [MediaHubJob], total: Int, start: Int, limit: Int) {
    self.jobs = jobs
    self.total = total
    self.start = start
    self.limit = limit
  }
}
