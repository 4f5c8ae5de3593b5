/// `fsmvp config`
enum ConfigVerb {
  static func run(config: String?, isJSON: Bool, output: Terminal) throws(CommandFailure) {
  }
}
