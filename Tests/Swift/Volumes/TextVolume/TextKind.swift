import ControlModel
import ControlRoutes
import Core
import VolumeKinds

/// The kind of `TextVolume`: all that a control plane has to know to mount one.
package struct TextKind: VolumeKind {
  package let name = "texts"
  package let mountpoint: String
  private let contents: TextContents

  package init(mountpoint: String, contents: TextContents) {
    self.mountpoint = mountpoint
    self.contents = contents
  }

  package func open(stateFolder: String) async throws -> OpenVolume {
    let volume = try TextVolume(contents, folder: stateFolder)
    return OpenVolume(volume, roots: volume.roots, routes: TextRoutes.group(volume))
  }
}

/// Why there is no answer about a text.
package enum TextError: Explained {
  case noSuchText(String)

  package var code: ControlError.Code { .noSuchItem }
  package var sentence: String { if case .noSuchText(let name) = self { "there is no text \(name)" } else { "" } }
}

/// The routes of the texts.
@DispatchLoop
enum TextRoutes {
  static func group(_ volume: TextVolume) -> RouteGroup {
    RouteGroup(
      [
        Route("GET", "texts", name: "texts") { _ in try RouteAnswer(volume.texts.map(\.name)) },
        Route("GET", "texts/{name}", [.number("words", in: 1...100)], name: "text") { request in
          guard let text = volume.texts.first(where: { $0.name == request.segment }) else {
            throw TextError.noSuchText(request.segment)
          }
          return try RouteAnswer(
            text.content.split(separator: " ").prefix(request.number("words") ?? .max).joined(separator: " "))
        },
      ], events: TextEvents(volume))
  }
}

/// Tells which texts are opened, by an event that no other module knows.
@DispatchLoop
final class TextEvents: EventSource {
  private let volume: TextVolume
  private var opened: [String] = []

  init(_ volume: TextVolume) {
    self.volume = volume
    volume.opened = { [weak self] in self?.opened.append($0.name) }
  }

  func snapshot() -> [SnapshotPart] { [SnapshotPart("texts", volume.texts.map(\.name))] }

  func begin() {}

  func look(_ sink: EventSink) -> Bool {
    for name in opened { sink.publish("text_opened", name) }
    opened = []
    return false
  }

  func lookSlowly(_ sink: EventSink) async {}
}
