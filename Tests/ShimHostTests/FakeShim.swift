import CWire
import Core
import Glibc
import Testing

/// A program in the shim's place that says on the socket what a test wants it to say. It is Python, as a child process needs a program of its own.
enum FakeShim {
  /// Writes it, with a formatted region header beside it, into the scratch folder. `behaviour` is Python that runs with these names:
  /// `hello(status=0, message=b"", magic=..., abi=..., who=...)` gives 512 bytes, `fds(seals=6, size=None, header=None)` the descriptors of one root,
  /// `say(bytes, descriptors)` sends them on the accepted connection, `frame(type, number, body)` is a frame, `HEADER` a right header.
  static func make(_ behaviour: String, in scratch: Scratch) throws -> String {
    var header = [UInt8](repeating: 0, count: 4096)
    let size = header.withUnsafeMutableBytes { bytes -> UInt64 in
      guard let base = bytes.baseAddress else { return 0 }
      return fsmvp_region_format(base.assumingMemoryBound(to: fsmvp_header.self))
    }
    let path = scratch.runtime + "/fake-shim"
    FileManager.write(header, to: scratch.runtime + "/header")
    let program = """
      #!/usr/bin/env python3
      import ctypes, fcntl, os, socket, struct, sys, time
      HEADER = open(os.path.join(os.path.dirname(sys.argv[0]), "header"), "rb").read()
      SIZE = \(size)
      listener = socket.socket(fileno=3)
      listener.setblocking(True)
      def me(pid=os.getpid()):
        fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
        return pid | (int(fields[19]) & 0xffffffff) << 32
      def hello(status=0, message=b"", magic=0x6d61657274736673, abi=\(FSMVP_ABI), who=None):
        return struct.pack("<QIiQQQ472s", magic, abi, status, 0, me() if who is None else who, SIZE, message)
      def fds(seals=6, size=SIZE, header=HEADER, device="/dev/fuse", flags=os.EFD_NONBLOCK):
        region = os.memfd_create("fake", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        os.ftruncate(region, size)
        os.pwrite(region, header[:size], 0)
        if seals:
          fcntl.fcntl(region, 1033, seals)
        return [os.open(device, os.O_RDWR), region, os.eventfd(0, flags), os.eventfd(0, flags), os.dup(3), os.dup(4)]
      def frame(kind, number=0, body=b""):
        return struct.pack("<IIQ", 16 + len(body), kind, number) + body
      connection = None
      def accept():
        global connection
        connection, _ = listener.accept()
        connection.recv(512, socket.MSG_WAITALL)
      def say(data, descriptors=[]):
        socket.send_fds(connection, [data], descriptors)
      def mount(device, path, source):
        libc = ctypes.CDLL(None, use_errno=True)
        options = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % device
        if libc.mount(source, path.encode(), b"fuse.fsmvp", 1 | 2 | 4, options) != 0:
          sys.exit(9)
      arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
      \(behaviour.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\n"))

      """
    FileManager.write(Array(program.utf8), to: path)
    try #require(chmod(path, 0o755) == 0)
    return path
  }
}
