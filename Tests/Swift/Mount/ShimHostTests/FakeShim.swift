import CWire
import Core
import Glibc
import Testing

/// A program in the shim's place that says on the socket what a test wants it to say. It is Python, as a child process
/// needs a program of its own.
enum FakeShim {
  /// Writes it, with a formatted region header beside it, into the scratch folder. `behaviour` is Python that runs with
  /// these names: `hello(status=0, message=b"", magic=..., abi=..., identity=...)` gives 512 bytes, `fds(seals=6,
  /// size=None, header=None)` the descriptors of one root, `say(bytes, descriptors)` sends them on the accepted
  /// connection, `frame(type, number, body)` is a frame, `HEADER` a right header. `successor` runs in one that is
  /// started to take over: `register()`, `await_end()`, `claim()` and `serve()` are its steps, `succeed()` all of them.
  static func make(_ behaviour: String, successor: String = "succeed()", in scratch: Scratch) throws -> String {
    var header = [UInt8](repeating: 0, count: 4096)
    let size = header.withUnsafeMutableBytes { bytes -> UInt64 in
      guard let base = bytes.baseAddress else { return 0 }
      return fsmvp_region_format(base.assumingMemoryBound(to: fsmvp_header.self))
    }
    let path = scratch.runtime + "/fake-shim"
    FileManager.write(header, to: scratch.runtime + "/header")
    let program = """
      #!/usr/bin/env -S python3 -IS
      import os
      # Like a real one: a standby has 100 ms to claim, and a fresh one two seconds.
      try:
        os.setpriority(os.PRIO_PROCESS, 0, -11)
      except PermissionError:
        pass
      import ctypes, fcntl, mmap, select, socket, struct, sys, time
      HEADER = open(os.path.join(os.path.dirname(sys.argv[0]), "header"), "rb").read()
      SIZE = \(size)
      flags = [word for word in sys.argv[1:] if word in ("--successor", "--read-only")]
      words = [word for word in sys.argv[1:] if word not in flags]
      arguments = dict(zip(words[::2], words[1::2]))
      def number(name):
        return int(arguments[name])
      listener = socket.socket(fileno=number("--listen"))
      listener.setblocking(True)
      def me(pid=os.getpid()):
        fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
        return pid | (int(fields[19]) & 0xffffffff) << 32
      def hello(status=0, message=b"", magic=0x6d61657274736673, abi=\(FSMVP_ABI), who=None, features=0, needs=0):
        return struct.pack("<QIiQQQQ464s", magic, abi, status, features, me() if who is None else who, SIZE, needs, message)
      def fds(seals=6, size=SIZE, header=HEADER, device="/dev/fuse", flags=os.EFD_NONBLOCK):
        region = os.memfd_create("fake", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        os.ftruncate(region, size)
        os.pwrite(region, header[:size], 0)
        if seals:
          fcntl.fcntl(region, 1033, seals)
        return [os.open(device, os.O_RDWR), region, os.eventfd(0, flags), os.eventfd(0, flags), listener.fileno(), number("--root")]
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
      class Header:
        def __init__(self, descriptor):
          self.bytes = mmap.mmap(descriptor, SIZE)
        def get(self, at):
          return struct.unpack_from("<Q", self.bytes, at)[0]
        def put(self, at, value):
          struct.pack_into("<Q", self.bytes, at, value)
      def activate(descriptors):
        header = Header(descriptors[1])
        header.put(40, me())
        header.put(64, 1)
        return header
      if "--successor" in flags:
        header = Header(number("--region"))
        handed = [number("--" + name) for name in ("fuse", "region", "shim-bell", "control-bell", "listen", "root")]
        def register():
          header.put(48, me())
        def await_end():
          try:
            pidfd = os.pidfd_open(header.get(40) & 0xffffffff)
            select.select([pidfd], [], [])
          except ProcessLookupError:
            pass
        def claim():
          header.put(40, me())
          header.put(48, 0)
          header.put(2552, 0)
          header.put(64, header.get(64) + 1)
          os.eventfd_write(handed[3], 1)
        def serve():
          accept(); say(hello(), handed)
          while True:
            time.sleep(0.05)
            header.put(72, time.monotonic_ns())
        def succeed():
          register(); await_end(); claim(); serve()
      \(indented(successor))
        sys.exit(0)
      \(behaviour)

      """
    FileManager.write(Array(program.utf8), to: path)
    try #require(chmod(path, 0o755) == 0)
    return path
  }

  private static func indented(_ lines: String) -> String {
    lines.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n")
  }
}
