/// Fish's completions, made from the table the parser works by. It is a constant text, without state.
package enum FishCompletion {
  package static var script: String {
    var lines = [
      """
      # fish completion for fsmvp and fsmvp-tile, made by `fsmvp completions fish`

      # The verb of the command line, if there is one before the cursor.
      function __fsmvp_verb
          set -l skip 0
          for word in (commandline -opc)[2..-1]
              if test $skip = 1
                  set skip 0
              else if test "$word" = --config
                  set skip 1
              else if not string match -q -- '-*' $word
                  echo $word
                  return 0
              end
          end
          return 1
      end

      function __fsmvp_needs_verb
          not __fsmvp_verb >/dev/null
      end

      function __fsmvp_verb_is
          contains -- (__fsmvp_verb) $argv
      end

      # Asks this line's own program, whose folder may not be in the PATH.
      function __fsmvp_ask
          set -l program (commandline -opc)[1]
          set program (string replace -r '^~' -- $HOME $program | string replace -r -- '-tile$' '')
          $program completions $argv 2>/dev/null
      end

      function __fsmvp_items
          __fsmvp_ask items | string replace '|' \\t
      end

      function __fsmvp_recipients
          __fsmvp_ask recipients
      end

      complete -c fsmvp -f
      complete -c fsmvp-tile -f -a '(__fsmvp_items)'
      """,
      "complete -c fsmvp -n __fsmvp_needs_verb -l version -d 'Print the version'",
      flag(VerbSyntax.config, condition: nil),
      flag(VerbSyntax.help, condition: nil) + " -s h",
    ]
    lines += ManualPage.tileFlags.map { flag($0, of: "fsmvp-tile", condition: nil) }
    for verb in Verb.allCases {
      let syntax = verb.syntax
      let condition = "__fsmvp_verb_is \(verb.rawValue)"
      lines.append("complete -c fsmvp -n __fsmvp_needs_verb -a \(verb.rawValue) -d \(quoted(syntax.summary))")
      lines += syntax.flags.map { flag($0, condition: condition) }
      if let words = words(syntax.kind) { lines.append("complete -c fsmvp -n \(quoted(condition)) \(words)") }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func flag(_ flag: FlagSyntax, of program: String = "fsmvp", condition: String?) -> String {
    var text = "complete -c \(program)"
    if let condition { text += " -n \(quoted(condition))" }
    text += " -l \(flag.name) -d \(quoted(flag.summary))"
    if flag.takesValue { text += " -x" }
    if let words = words(flag.kind) { text += " \(words)" }
    return text
  }

  private static func words(_ kind: WordKind) -> String? {
    switch kind {
    case .text: nil
    case .file: "-a '(__fish_complete_path)'"
    case .folder: "-a '(__fish_complete_directories)'"
    case .choice(let words): "-a \(quoted(words.joined(separator: " ")))"
    case .item: "-F -k -a '(__fsmvp_items)'"
    case .recipient: "-a '(__fsmvp_recipients)'"
    }
  }

  /// Fish knows backslashes between single quotes.
  private static func quoted(_ text: String) -> String {
    "'" + text.replacing("\\", with: "\\\\").replacing("'", with: "\\'") + "'"
  }
}
