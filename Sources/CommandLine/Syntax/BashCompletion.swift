/// Bash's completions, made from the table the parser works by. They need nothing but bash: no package of helpers. It
/// is a constant text, without state.
package enum BashCompletion {
  package static var script: String {
    """
    # bash completion for fsmvp and fsmvp-tile, made by `fsmvp completions bash`

    # Lines that begin with what was typed, as words of the shell.
    __fsmvp_offer() {
      local line
      while IFS= read -r line; do
        line=${line%%"$1"*}
        [[ -n $line && $line == "$cur"* ]] && COMPREPLY+=("$(printf %q "$line")")
      done
    }

    __fsmvp_files() {
      local word
      compopt -o filenames 2>/dev/null
      while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen "$1" -- "$cur")
    }

    # The candidates for a word of that kind.
    __fsmvp_words() {
      case $1 in
        file) __fsmvp_files -f ;;
        folder) __fsmvp_files -d ;;
        item)
          __fsmvp_offer '|' < <("$program" completions items 2>/dev/null)
          ((${#COMPREPLY[@]})) || __fsmvp_files -f
          ;;
        recipient) __fsmvp_offer $'\\n' < <("$program" completions recipients 2>/dev/null) ;;
        *) COMPREPLY=($(compgen -W "$1" -- "$cur")) ;;
      esac
    }

    _fsmvp() {
      local cur=${COMP_WORDS[COMP_CWORD]} program=${COMP_WORDS[0]/#\\~/$HOME} verb= flag= skip= ended= index word
      COMPREPLY=()
      [[ $cur == '=' ]] && cur=
      # The equals sign of --flag=VALUE is a word of its own.
      for ((index = 1; index < COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        if [[ $word == '=' ]]; then
          [[ $flag ]] && skip=1
        elif [[ $skip ]]; then
          skip= flag=
        elif [[ $word == -- ]]; then
          ended=1
        elif [[ -z $ended && $word == -* ]]; then
          flag= skip=
          case $verb:$word in
    \(flags { "        \($0)) flag=\($1.name) skip=1 ;;" })
          esac
        elif [[ -z $verb ]]; then
          verb=$word
        fi
      done
      # Here the value of a flag is to stand.
      if [[ $skip ]]; then
        case $verb:$flag in
    \(flagKinds)
        esac
        return
      fi
      if [[ -z $ended && $cur == -* ]]; then
        case $verb in
    \(verbFlags)
        esac
        return
      fi
      case $verb in
        '') COMPREPLY=($(compgen -W "\(Verb.allCases.map(\.rawValue).joined(separator: " "))" -- "$cur")) ;;
    \(verbKinds)
      esac
    }

    _fsmvp_tile() {
      local cur=${COMP_WORDS[COMP_CWORD]} program
      COMPREPLY=()
      program=${COMP_WORDS[0]/#\\~/$HOME}
      program=${program%-tile}
      [[ $cur == '=' ]] && cur=
      case ${COMP_WORDS[COMP_CWORD - 1]}:${COMP_WORDS[COMP_CWORD - 2]} in
        --config:* | =:--config) __fsmvp_files -f ;;
        *) if [[ $cur == -* ]]; then
          COMPREPLY=($(compgen -W "\(tileFlags)" -- "$cur"))
        else
          __fsmvp_words item
        fi ;;
      esac
    }

    complete -F _fsmvp fsmvp
    complete -F _fsmvp_tile fsmvp-tile

    """
  }

  /// One line for each flag with a value; those of every verb once.
  private static func flags(_ line: (_ pattern: String, _ flag: FlagSyntax) -> String) -> String {
    let own = Verb.allCases.flatMap { verb in
      verb.syntax.flags.filter(\.takesValue).map { line("\(verb.rawValue):--\($0.name)", $0) }
    }
    return ([line("*:--config", VerbSyntax.config)] + own).joined(separator: "\n")
  }

  private static var flagKinds: String {
    flags { pattern, flag in
      let words = words(flag.kind)
      return "      \(pattern.replacing("--", with: ""))) \(words.isEmpty ? "" : "__fsmvp_words \(words) ");;"
    }
  }

  private static var verbFlags: String {
    let general = ["config", "help"].map { "--\($0)" } + ["--version"]
    let lines = Verb.allCases.map { verb in
      let flags = verb.allFlags.map { "--\($0.name)" }.joined(separator: " ")
      return "      \(verb.rawValue)) COMPREPLY=($(compgen -W \"\(flags)\" -- \"$cur\")) ;;"
    }
    return (["      '') COMPREPLY=($(compgen -W \"\(general.joined(separator: " "))\" -- \"$cur\")) ;;"] + lines)
      .joined(separator: "\n")
  }

  private static var verbKinds: String {
    Verb.allCases.compactMap { verb in
      let words = words(verb.syntax.kind)
      return words.isEmpty ? nil : "    \(verb.rawValue)) __fsmvp_words \(words) ;;"
    }.joined(separator: "\n")
  }

  private static var tileFlags: String { ManualPage.tileFlags.map { "--\($0.name)" }.joined(separator: " ") }

  /// For `__fsmvp_words`; "": there is nothing to offer.
  private static func words(_ kind: WordKind) -> String {
    switch kind {
    case .text: ""
    case .file: "file"
    case .folder: "folder"
    case .choice(let words): ShellQuoting.quoted(words.joined(separator: " "))
    case .item: "item"
    case .recipient: "recipient"
    }
  }
}
