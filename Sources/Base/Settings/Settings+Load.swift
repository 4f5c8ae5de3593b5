import Core
import SettingsModel

/// How the settings are read. It reads the configuration file and changes nothing but the value that it returns; since
/// it waits for the disk, the control plane calls it before the loops start or on a worker thread.
extension Settings {
  /// Reads the file and the rest of `inputs`.
  /// - Parameters:
  ///   - groups: the settings that the program knows.
  ///   - ignoresOthers: keys of the file that are in none of `groups` are another program's.
  /// - Throws: one sentence about the first thing that is wrong, in the order of the file's lines, then the
  ///   environment, then the flags.
  package static func load(
    _ groups: [any SettingGroup], _ inputs: SettingsInputs = .process(), ignoresOthers: Bool = false
  ) throws(SettingsError) -> Settings {
    var settings = Settings(list: SettingsList(groups))
    for declaration in settings.list.declarations {
      settings.entries[declaration.path] = Entry(value: declaration.fallback.value(inputs), source: .builtIn)
    }
    settings.configFileToWrite = ConfigFile.usual(inputs)[0]
    if let file = try ConfigFile.find(inputs) { try settings.take(file, inputs, ignoresOthers: ignoresOthers) }
    for declaration in settings.list.declarations {
      guard let name = declaration.variable, let text = inputs.variable(name) else { continue }
      try settings.set(declaration, .string(text), .environment(name), name, from: inputs.workingFolder, inputs)
    }
    for (name, text) in inputs.flags.sorted(by: { $0.key < $1.key }) {
      let flag = "--" + String(name.map { $0 == "_" ? "-" : $0 })
      guard let declaration = settings.list.declaration(name, in: nil) else {
        throw SettingsError("there is no setting for \(flag)")
      }
      guard !text.isEmpty else { throw SettingsError("\(flag) must be \(declaration.rule.allowed), not empty") }
      try settings.set(declaration, .string(text), .flag(flag), flag, from: inputs.workingFolder, inputs)
    }
    settings.countChunks()
    return settings
  }

  /// Turns numbers of chunks, as the first client counted them, into bytes, now that the size of a chunk is known.
  private mutating func countChunks() {
    for declaration in list.declarations {
      guard case .bytesOrChunks(_, let key) = declaration.rule, let entry = entries[declaration.path],
        case .count(let count) = entry.value,
        let chunk = entries[key], case .bytes(let size) = chunk.value
      else { continue }
      // Both are in range, and the greatest of both makes 1 TiB.
      let total = Int64(count) * size
      entries[declaration.path]?.value = .bytes(total)
      let chunks = "\(count) chunk\(count == 1 ? "" : "s") of \(ByteCount.format(size))"
      let advice = ByteCount.format(total).filter { $0 != " " }
      warnings.append(
        "\(entry.place): `\(SettingsList.shown(declaration))` = \(count) is read as \(chunks); write \"\(advice)\"")
    }
  }

  // MARK: The file

  private mutating func take(_ file: ConfigFile, _ inputs: SettingsInputs, ignoresOthers: Bool) throws(SettingsError) {
    configFile = file.path
    configFileToWrite = file.path
    let document: TomlDocument
    do throws(TomlDocument.Failure) {
      document = try TomlDocument(file.text)
    } catch {
      throw SettingsError(
        "\(file.path):\(error.position.line):\(error.position.column): this is not TOML: \(error.message)")
    }
    let folder = file.path.prefix(through: file.path.lastIndex(of: "/") ?? file.path.startIndex)
    var given: [String: TomlDocument.Key] = [:]
    for key in document.keys(isTable: list.isTable) {
      let place = "\(file.path):\(key.position.line):\(key.position.column)"
      guard let declaration = list.declaration(key.name, in: key.table) else {
        if ignoresOthers { continue }
        if key.table == nil, list.isTable(key.name) {
          throw SettingsError("\(place): `\(key.name)` is a table: its keys stand below a line `[\(key.name)]`")
        }
        throw SettingsError("\(place): \(list.unknown(key.name, in: key.table))")
      }
      // An empty text is how the first client's file says "not set".
      if key.value == .string("") { continue }
      if let first = given.updateValue(key, forKey: declaration.path) {
        throw SettingsError(
          "\(place): `\(key.name)` is given twice: \(first.whereabouts) and \(key.whereabouts); leave one of them out")
      }
      let source = Source.file(path: file.path, line: key.position.line)
      try set(declaration, key.value, source, place, from: String(folder), inputs)
      if declaration.isMacOnly { warnings.append("\(place): `\(key.name)` works on macOS only and is ignored") }
    }
    guard file.isOpenToOthers else { return }
    let secrets = list.declarations.filter { declaration in
      guard let entry = entries[declaration.path], case .file = entry.source, case .text(let text) = entry.value else {
        return false
      }
      return switch declaration.rule {
      case .secret: true
      case .proxy: text.contains("@")
      default: false
      }
    }
    if !secrets.isEmpty {
      let names = secrets.map(SettingsList.shown).joined(separator: " and ")
      warnings.append(
        "\(file.path) holds \(names) and others can read or change it; run: chmod 600 \(Spelling.shellWord(file.path))")
    }
  }

  // MARK: One value

  /// A value without what came along with it.
  private static func meant(_ text: String, _ rule: SettingRule, _ source: Source) -> String {
    let trimmed = Spelling.trimmed(text)
    var meant = trimmed
    if case .path = rule, !text.contains(where: \.isNewline) {
      // A folder may end in a blank, and a relative path begin with one.
      meant = ["/", "~"].contains(trimmed.first) ? Spelling.trimmedInFront(text) : text
    }
    guard case .environment = source else { return meant }
    let bare = Spelling.unquoted(trimmed)
    return bare == trimmed ? meant : bare
  }

  private mutating func set(
    _ declaration: SettingDeclaration, _ raw: RawValue, _ source: Source, _ place: String, from base: String,
    _ inputs: SettingsInputs
  ) throws(SettingsError) {
    let (rule, key) = (declaration.rule, SettingsList.shown(declaration))
    var raw = raw
    if case .string(let text) = raw {
      let meant = Self.meant(text, rule, source)
      if meant != text {
        warnings.append("\(place): blanks, line ends or quotes around the value of `\(key)` are left out")
        // Nothing but blanks: not set.
        guard !meant.isEmpty else { return }
        raw = .string(meant)
      }
    }
    var isSpelled = true
    if case .file = source { isSpelled = false }
    guard let value = rule.read(raw, isSpelled: isSpelled, absolute: { inputs.absolute($0, from: base) }) else {
      let found = rule.isShowable(raw) ? ", not \(Spelling.shown(raw))" : ""
      throw SettingsError("\(place): `\(key)` must be \(rule.allowed)\(found)")
    }
    entries[declaration.path] = Entry(value: value, source: source, place: place)
  }
}
