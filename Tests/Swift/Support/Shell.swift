import Glibc

/// Runs a command line and gives what it wrote to its standard output, and its exit status.
package func shell(_ command: String) -> (output: String, status: Int32) {
  guard let pipe = popen(command, "re") else { return ("", -1) }
  var output: [UInt8] = []
  var part = [UInt8](repeating: 0, count: 64 << 10)
  while true {
    let count = fread(&part, 1, part.count, pipe)
    if count == 0 { break }
    output += part[0..<count]
  }
  return (String(decoding: output, as: UTF8.self), pclose(pipe) >> 8 & 0xff)
}
