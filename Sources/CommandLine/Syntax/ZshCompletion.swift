/// Zsh's completions, made from the table the parser works by. It is a constant text, without state.
package enum ZshCompletion {
  package static var script: String {
    """
    #compdef fsmvp fsmvp-tile
    # zsh completion, made by `fsmvp completions zsh`

    _fsmvp_items() {
      local -a lines ids
      local program=${words_program:-fsmvp}
      lines=("${(@f)$(_call_program items ${(q)program} completions items 2>/dev/null)}")
      # A colon ends the id where one is described.
      ids=("${(@)${(@)lines//:/\\\\:}/|/:}")
      ids=("${(@)ids:#}")
      _alternative 'items:staged item:{ (( $#ids )) && _describe -t items "staged item" ids }' 'files:path:_files'
    }

    _fsmvp_recipients() {
      local -a known
      known=("${(@f)$(_call_program recipients ${(q)${words_program:-fsmvp}} completions recipients 2>/dev/null)}")
      known=("${(@)known:#}")
      (( $#known )) && compadd -a known
    }

    _fsmvp_verbs() {
      local -a verbs
      verbs=(
    \(Verb.allCases.map { "    \(ShellQuoting.quoted("\($0.rawValue):\($0.syntax.summary)"))" }.joined(separator: "\n"))
      )
      _describe -t verbs verb verbs
    }

    _fsmvp() {
      local curcontext=$curcontext state line words_program=${words[1]/#\\~/$HOME}
      local -A opt_args
      if [[ $service == fsmvp-tile ]]; then
        words_program=${words_program%-tile}
        _arguments \\
    \(ManualPage.tileFlags.map { "      \(spec($0)) \\" }.joined(separator: "\n"))
          '1:staged item:_fsmvp_items'
        return
      fi
      _arguments -C \\
        \(spec(VerbSyntax.config)) \\
        '(- *)'{-h,--help}'[print help]' \\
        '(- *)--version[print the version]' \\
        '1:verb:_fsmvp_verbs' \\
        '*::argument:->argument' && return
      [[ $state == argument ]] || return
      case $words[1] in
    \(Verb.allCases.map(verb).joined(separator: "\n"))
      esac
    }

    _fsmvp "$@"

    """
  }

  private static func verb(_ verb: Verb) -> String {
    let syntax = verb.syntax
    var specs = verb.allFlags.map(spec)
    if syntax.arity.upperBound > 0 {
      let optional = syntax.arity.lowerBound == 0 ? ":" : ""
      specs.append(ShellQuoting.quoted("1:\(optional)\(described(syntax.positionals)):\(action(syntax.kind))"))
    }
    return "    \(verb.rawValue)) _arguments \(specs.joined(separator: " ")) ;;"
  }

  private static func spec(_ flag: FlagSyntax) -> String {
    let value = flag.value.map { ":\(described($0)):\(action(flag.kind))" } ?? ""
    return ShellQuoting.quoted("--\(flag.name)\(flag.takesValue ? "=" : "")[\(described(flag.summary))]\(value)")
  }

  private static func action(_ kind: WordKind) -> String {
    switch kind {
    case .text: " "
    case .file: "_files"
    case .folder: "_path_files -/"
    case .choice(let words): "(\(words.joined(separator: " ")))"
    case .item: "_fsmvp_items"
    case .recipient: "_fsmvp_recipients"
    }
  }

  /// Text of a specification: brackets and colons end it.
  private static func described(_ text: String) -> String {
    text.filter { $0 != "[" && $0 != "]" }.replacing("\\", with: "\\\\").replacing(":", with: "\\:")
  }
}
