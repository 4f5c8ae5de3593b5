import Core

/// The kinds of settings: one function each, with the type that a module reads. Paths are as in `SettingDeclaration`,
/// and an empty text is none. They are pure functions that make values.

extension Setting where Value == String {
  /// A URL of a service.
  package static func address(_ path: String, default fallback: String, variable: String? = nil, _ help: String) -> Self
  {
    Setting(path, .address, fallback, shown: .value(.text(fallback)), variable: variable, help) { $0.text }
  }

  package static func text(_ path: String, variable: String? = nil, _ help: String) -> Self {
    Setting(path, .text, "", shown: .value(.text("")), variable: variable, help) { $0.text }
  }

  /// An absolute path.
  package static func path(
    _ path: String, default fallback: SettingDeclaration.Default, variable: String? = nil, _ help: String
  ) -> Self {
    Setting(path, .path, "", shown: fallback, variable: variable, help) { $0.text }
  }
}

extension Setting where Value == String? {
  package static func optionalText(_ path: String, variable: String? = nil, _ help: String) -> Self {
    Setting(path, .text, nil, shown: .value(.text("")), variable: variable, help) { $0.words }
  }

  /// An absolute path, or none.
  package static func optionalPath(_ path: String, variable: String? = nil, _ help: String) -> Self {
    Setting(path, .path, nil, shown: .value(.text("")), variable: variable, help) { $0.words }
  }
}

extension Setting where Value == Redacted<String> {
  package static func secret(_ path: String, variable: String? = nil, _ help: String) -> Self {
    Setting(path, .secret, Redacted(""), shown: .value(.text("")), variable: variable, help) {
      $0.text.map { Redacted($0) }
    }
  }
}

extension Setting where Value == Redacted<String>? {
  package static func proxy(_ path: String, variable: String? = nil, _ help: String) -> Self {
    Setting(path, .proxy, nil, shown: .value(.text("")), variable: variable, help) { $0.words.map { Redacted($0) } }
  }
}

extension Setting where Value: CaseIterable & RawRepresentable, Value.RawValue == String {
  /// One of the cases, in their order.
  package static func choice(_ path: String, default fallback: Value, variable: String? = nil, _ help: String) -> Self {
    Setting(
      path, .choice(Value.allCases.map(\.rawValue)), fallback, shown: .value(.text(fallback.rawValue)),
      variable: variable, help
    ) { value in value.text.flatMap { Value(rawValue: $0) } }
  }
}

extension Setting where Value == Int {
  package static func count(
    _ path: String, _ range: ClosedRange<Int>, default fallback: Int, unit: String? = nil, variable: String? = nil,
    _ help: String
  ) -> Self {
    Setting(path, .count(range), fallback, shown: .value(.count(fallback)), unit: unit, variable: variable, help) {
      value in
      if case .count(let number) = value { number } else { nil }
    }
  }
}

extension Setting where Value == Int64 {
  package static func bytes(
    _ path: String, _ range: ClosedRange<Int64>, default fallback: Int64, unit: String? = nil, variable: String? = nil,
    _ help: String
  ) -> Self {
    Setting(path, .bytes(range), fallback, shown: .value(.bytes(fallback)), unit: unit, variable: variable, help) {
      $0.size
    }
  }

  /// - Parameter chunk: the key that gives the size of what a small bare number counts.
  package static func bytesOrChunks(
    _ path: String, _ range: ClosedRange<Int64>, of chunk: String, default fallback: Int64, _ help: String
  ) -> Self {
    Setting(path, .bytesOrChunks(range, of: chunk), fallback, shown: .value(.bytes(fallback)), help) { $0.size }
  }
}

extension Setting where Value == Int64? {
  /// nil for "auto", which is the default.
  package static func bytesOrAuto(_ path: String, _ range: ClosedRange<Int64>, _ help: String) -> Self {
    Setting(path, .bytesOrAuto(range), nil, shown: .value(.text(SettingRule.auto)), help) { $0.size }
  }
}

extension Setting where Value == Duration {
  package static func duration(
    _ path: String, _ range: ClosedRange<Duration>, default fallback: Duration, variable: String? = nil, _ help: String
  ) -> Self {
    Setting(path, .duration(range), fallback, shown: .value(.duration(fallback)), variable: variable, help) { value in
      if case .duration(let duration) = value { duration } else { nil }
    }
  }
}

extension Setting where Value == Bool {
  package static func flag(
    _ path: String, default fallback: Bool, variable: String? = nil, isMacOnly: Bool = false, _ help: String
  ) -> Self {
    Setting(path, .flag, fallback, shown: .value(.flag(fallback)), variable: variable, isMacOnly: isMacOnly, help) {
      $0.truth
    }
  }
}

extension Setting where Value == Bool? {
  /// nil if it is left out, which is neither true nor false.
  package static func optionalFlag(_ path: String, variable: String? = nil, _ help: String) -> Self {
    Setting(path, .flag, nil, shown: .value(.text("")), variable: variable, help) { $0.truth }
  }
}

extension SettingValue {
  fileprivate var text: String? { if case .text(let text) = self { text } else { nil } }
  fileprivate var words: String? { if case .text(let text) = self, !text.isEmpty { text } else { nil } }
  fileprivate var size: Int64? { if case .bytes(let number) = self { number } else { nil } }
  fileprivate var truth: Bool? { if case .flag(let flag) = self { flag } else { nil } }
}
