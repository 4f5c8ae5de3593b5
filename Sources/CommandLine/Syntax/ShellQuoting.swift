/// Words between single quotes, as all three shells understand them. It is a pure function.
enum ShellQuoting {
  static func quoted(_ text: String) -> String { "'" + text.replacing("'", with: #"'\''"#) + "'" }
}
