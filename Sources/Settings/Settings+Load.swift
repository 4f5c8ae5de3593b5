import Core

extension Settings {
  /// Reads the file and the rest of `inputs`.
  /// - Throws: one sentence about the first thing that is wrong, in the order of the file's lines, then the environment, then the flags.
  package static func load(_ inputs: SettingsInputs = .process()) throws(SettingsError) -> Settings {
    var settings = Settings(entries: [:])
    for key in SettingsKey.allCases { settings.entries[key] = Entry(value: key.defaultValue(inputs), source: .builtIn) }
    var cacheSize = Chunks()
    settings.configFileToWrite = ConfigFile.usual(inputs)[0]
    if let file = try ConfigFile.find(inputs) { try settings.take(file, inputs, &cacheSize) }
    for key in SettingsKey.allCases {
      guard let name = key.variable, let text = inputs.variable(name) else { continue }
      try settings.set(key, .string(text), .environment(name), name, from: inputs.workingFolder, inputs, &cacheSize)
    }
    for (name, text) in inputs.flags.sorted(by: { $0.key < $1.key }) {
      let flag = "--" + String(name.map { $0 == "_" ? "-" : $0 })
      guard let key = SettingsKey(rawValue: name) else { throw SettingsError("there is no setting for \(flag)") }
      guard !text.isEmpty else { throw SettingsError("\(flag) must be \(key.rule.allowed), not empty") }
      try settings.set(key, .string(text), .flag(flag), flag, from: inputs.workingFolder, inputs, &cacheSize)
    }
    if let (count, place) = cacheSize.given {
      // Both are in range, and the greatest of both makes 1 TiB.
      let total = Int64(count) * settings.chunkSize
      settings.entries[.cacheSize]?.value = .bytes(total)
      let chunks = "\(count) chunk\(count == 1 ? "" : "s") of \(ByteCount.format(settings.chunkSize))"
      let advice = ByteCount.format(total).filter { $0 != " " }
      settings.warnings.append("\(place): `cache_size` = \(count) is read as \(chunks); write \"\(advice)\"")
    }
    return settings
  }

  /// `cache_size` as the first client counted it, in chunks; settled once the size of a chunk is known.
  private struct Chunks {
    static let most: Int64 = 4096
    var given: (count: Int, place: String)?

    static func count(_ raw: RawValue) -> Int? {
      switch raw {
      case .integer(let number) where (1...most).contains(number): Int(number)
      case .string(let text): Int64(text).flatMap { (1...most).contains($0) ? Int($0) : nil }
      default: nil
      }
    }
  }

  private mutating func take(_ file: ConfigFile, _ inputs: SettingsInputs, _ cacheSize: inout Chunks) throws(SettingsError) {
    configFile = file.path
    configFileToWrite = file.path
    let document: TomlDocument
    do throws(TomlDocument.Failure) {
      document = try TomlDocument(file.text)
    } catch {
      throw SettingsError("\(file.path):\(error.position.line):\(error.position.column): this is not TOML: \(error.message)")
    }
    let folder = file.path.prefix(through: file.path.lastIndex(of: "/") ?? file.path.startIndex)
    for entry in document.entries {
      let place = "\(file.path):\(entry.position.line):\(entry.position.column)"
      guard let key = SettingsKey(rawValue: entry.name) else {
        let nearest = NearestName.of(entry.name, in: SettingsKey.allCases.map(\.rawValue))
        let hint = nearest.map { "did you mean `\($0)`?" } ?? "`fsmvp config` lists the keys"
        throw SettingsError("\(place): unknown key `\(Spelling.quoted(entry.name).dropFirst().dropLast())`; \(hint)")
      }
      // An empty text is how the first client's file says "not set".
      if entry.value == .string("") { continue }
      let source = Source.file(path: file.path, line: entry.position.line)
      try set(key, entry.value, source, place, from: String(folder), inputs, &cacheSize)
      if key.isMacOnly { warnings.append("\(place): `\(key.rawValue)` works on macOS only and is ignored") }
    }
    guard file.isOpenToOthers else { return }
    let secrets = [SettingsKey.clientSecret, .proxy].filter { key in
      guard case .file = source(of: key), case .text(let text) = entries[key]?.value else { return false }
      return key == .clientSecret || text.contains("@")
    }
    if !secrets.isEmpty {
      let names = secrets.map(\.rawValue).joined(separator: " and ")
      warnings.append("\(file.path) holds \(names) and others can read or change it; run: chmod 600 \(Spelling.shellWord(file.path))")
    }
  }

  private mutating func set(
    _ key: SettingsKey, _ raw: RawValue, _ source: Source, _ place: String, from base: String, _ inputs: SettingsInputs,
    _ cacheSize: inout Chunks
  ) throws(SettingsError) {
    if key == .cacheSize {
      cacheSize.given = Chunks.count(raw).map { ($0, place) }
      if cacheSize.given != nil {
        entries[key]?.source = source
        return
      }
    }
    var isSpelled = true
    if case .file = source { isSpelled = false }
    guard let value = key.rule.read(raw, isSpelled: isSpelled, absolute: { inputs.absolute($0, from: base) }) else {
      let found = key.rule.isShowable(raw) ? ", not \(Spelling.shown(raw))" : ""
      throw SettingsError("\(place): `\(key.rawValue)` must be \(key.rule.allowed)\(found)")
    }
    entries[key] = Entry(value: value, source: source)
  }
}
