import Core
import Glibc
import Support
import Testing

@testable import Store

@Suite("Memory limit")
struct MemoryLimitTests {
  /// A machine of 8 GiB with these control groups.
  private func machine(_ files: [String: String]) throws -> String {
    let root = try TestFolder.make("memory")
    for (path, text) in files.merging(
      ["/proc/meminfo": "MemTotal:  8388608 kB\nMemFree: 1 kB\n"], uniquingKeysWith: { $1 })
    {
      var folder = root
      for part in path.split(separator: "/").dropLast() {
        folder += "/" + part
        mkdir(folder, 0o700)
      }
      let descriptor = open(root + path, O_WRONLY | O_CREAT, 0o600)
      let bytes = Array(text.utf8)
      #expect(write(descriptor, bytes, bytes.count) == bytes.count)
      close(descriptor)
    }
    return root
  }

  @Test(
    "the least of machine and groups counts",
    arguments: [
      ([:], 8 << 30),
      (
        [
          "/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "max\n",
          "/sys/fs/cgroup/a/memory.max": "1073741824\n",
        ], 1 << 30
      ),
      (["/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "536870912\n"], 512 << 20),
      (
        [
          "/proc/self/cgroup": "3:cpu:/x\n2:hugetlb,memory:/docker/1\n",
          "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "268435456\n",
          "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        ], 256 << 20
      ),
      (["/proc/self/cgroup": "0::/../../gone\nnonsense\n", "/sys/fs/cgroup/memory.max": "no number\n"], 8 << 30),
    ] as [([String: String], Int64)])
  func least(files: [String: String], expected: Int64) throws {
    let root = try machine(files)
    #expect(MemoryLimit.bytes(root: root) == expected)
    #expect(MemoryLimit.window(1 << 40, root: root) == expected / 4)
    #expect(MemoryLimit.window(1 << 20, root: root) == 1 << 20)
  }

  @Test("this machine has some")
  func here() { #expect(MemoryLimit.bytes() ?? 0 > 64 << 20) }
}
