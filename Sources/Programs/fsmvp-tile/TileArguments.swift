/// The command line, its values checked. It is a plain value.
struct TileArguments: Equatable {
  enum Wish: Equatable {
    case help
    case version
    /// - Parameter item: the id or path of the only item to show; nil: all.
    case window(item: String?)
  }

  var wish: Wish
  var config: String?
  /// Opens the window where no control plane runs, too, and waits for one in it.
  var waits = false

  static let help = """
    fsmvp-tile shows staged files as tiles: drag one into any upload zone, and it uploads while it downloads.

    usage: fsmvp-tile [ITEM_ID] [--wait] [--config F]

    With ITEM_ID (or the path of a staged file) one tile in a window of its own, else all of them, and staging new ones.

      --wait      open the window though no control plane is running, and wait for one
      --config F  read this configuration file (default: as `fsmvp`)
      --help, -h  print this help
      --version   print the version

    In the window: arrows or Tab choose a tile, Ctrl+C copies its path, Enter opens its menu, Del removes it, Ctrl+F searches jobs.

    exit codes: 0 done, 1 failed (no display), 2 usage, 3 no control plane running, 4 no such item

    """

  /// - Parameter words: without the program's name.
  init(_ words: [String]) throws(TileFailure) {
    var item: String?
    var special: Wish?
    var rest = words[...]
    var flagsEnded = false
    while let word = rest.popFirst() {
      guard !flagsEnded, word.hasPrefix("-"), word != "-" else {
        guard item == nil else {
          throw TileFailure(.usage, "fsmvp-tile shows one item or all, not “\(item ?? "")” and “\(word)”")
        }
        guard !word.isEmpty else { throw TileFailure(.usage, "the item's id is empty; `fsmvp staged` lists them") }
        item = word
        continue
      }
      switch word {
      case "--": flagsEnded = true
      case "--help", "-h": special = .help
      case "--version": special = special ?? .version
      case "--wait": waits = true
      case "--config":
        guard let file = rest.popFirst(), !file.hasPrefix("--") else { throw Self.needsFile }
        config = file
      case _ where word.hasPrefix("--config="): config = String(word.dropFirst("--config=".count))
      default: throw TileFailure(.usage, "fsmvp-tile has no flag \(word); `fsmvp-tile --help` lists them")
      }
    }
    if config == "" { throw Self.needsFile }
    wish = special ?? .window(item: item)
  }

  private static var needsFile: TileFailure { TileFailure(.usage, "--config needs the path of a file") }
}
