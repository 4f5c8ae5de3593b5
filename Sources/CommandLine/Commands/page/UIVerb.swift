import ControlModel
import Core
import Glibc
import Syntax
import TerminalUI

/// `fsmvp ui`: a link that signs a browser in, once. It is a secret for as long as it is good: it goes to the terminal,
/// and to the browser by a file that only this user can read; in no argument list. No state is kept; the control plane
/// owns the code in the link.
enum UIVerb {
  static func run(isPrinting: Bool, client: APIClient, output: Terminal) throws(CommandFailure) {
    let login = try APIClient.decode(LoginReply.self, from: try client.send("POST", ["login"]))
    // For programs, and it stands alone.
    if isPrinting { return try output.print(login.url + "\n") }
    let what = open(login.url, socket: client.client.socket)
    let minutes = login.expiresSeconds / 60
    try output.print(
      """
      \(what):

        \(DisplayText.printable(login.url))

      It is good once, for \(minutes) minute\(minutes == 1 ? "" : "s"). `fsmvp ui` makes another.

      """)
  }

  /// - Returns: what a person is to know of it, before the link.
  private static func open(_ url: String, socket: String) -> String {
    guard DetachedProgram.hasDisplay else {
      return "There is no display here. Open this link in a browser on this machine (from afar: through `ssh -L`)"
    }
    guard let opener = DetachedProgram.find("xdg-open") else {
      return
        "There is no `xdg-open` here that could open a browser (Debian has it in xdg-utils). Open this link yourself"
    }
    let folder = socket.prefix(upTo: socket.lastIndex(of: "/") ?? socket.startIndex)
    do throws(CommandFailure) {
      let page = try LoginPage(url: url, folder: String(folder))
      // Some wait as long as the browser runs.
      if let code = try DetachedProgram.start(opener, [page.path], patience: .seconds(2)), code != 0 {
        page.remove()
        return "No browser could be opened (`xdg-open` ended with code \(code)). Open this link yourself"
      }
      page.removeLater()
      return "Opening your browser. If nothing comes up, open this link yourself"
    } catch {
      return "No browser could be opened: \(error.message). Open this link yourself"
    }
  }
}
