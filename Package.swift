// swift-tools-version: 6.2
// The house of docs/ARCHITECTURE.md. Imports run one way: a target that needs an import its line lacks is in the wrong place.
import PackageDescription

// The kill points of the tests are in debug builds alone. Swift reads the header too, and is told by itself.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6), .treatAllWarnings(as: .error),
  .unsafeFlags(["-Xcc", "-DFSMVP_KILL_POINTS"], .when(configuration: .debug)),
]
let c: [CSetting] = [
  .define("_GNU_SOURCE"), .define("FUSE_USE_VERSION", to: "314"),
  .unsafeFlags(["-Wall", "-Wextra", "-Werror"]),
]

func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict)
}
func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

let package = Package(
  name: "fsmvp",
  targets: [
    // System libraries: a module map and typed inline setters each.
    .systemLibrary(name: "CUV", pkgConfig: "libuv"),
    .systemLibrary(name: "CCurl", pkgConfig: "libcurl"),
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3"),
    .systemLibrary(name: "CHTTPD", pkgConfig: "libmicrohttpd"),
    .systemLibrary(name: "CGnuTLS", pkgConfig: "gnutls"),
    .systemLibrary(name: "CFuse3", pkgConfig: "fuse3"),
    .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash"),
    .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto"),
    .systemLibrary(name: "CSystemd", pkgConfig: "libsystemd"),
    .systemLibrary(name: "CGtk", pkgConfig: "gtk4"),
    .target(name: "CLinux", cSettings: c),
    // The page of the control API, as files that are part of the program; `#embed` is C23.
    .target(name: "CPage", exclude: ["assets"], cSettings: c + [.unsafeFlags(["-std=c23"])]),
    .target(name: "CToml", cxxSettings: [.unsafeFlags(["-std=c++17", "-Wall", "-Wextra", "-Werror"])]),

    // The contract, and the shim's sources where `swift test` reaches them (the shipped shim is one cc line of the Makefile).
    // The kill points of the tests are in debug builds alone.
    .target(
      name: "CWire", path: "shim/wire", cSettings: c + [.define("FSMVP_KILL_POINTS", .when(configuration: .debug))],
      swiftSettings: []),
    .target(
      name: "CShim", dependencies: ["CWire", "CFuse3", "CUV"], path: "shim/src",
      exclude: ["main.c"],
      sources: [
        "bell.c", "buffer.c", "caller.c", "canceller.c", "completion.c", "disk.c", "drain.c", "forward.c", "frame.c", "fusermount.c",
        "gate.c",
        "handle.c", "hello.c", "init.c", "invalidate.c", "lease.c", "lease_file.c", "link.c", "listing.c", "log.c",
        "mount.c", "mountinfo.c", "ops.c", "options.c", "orders.c", "orphan.c", "region.c", "reply.c", "ring.c", "session.c", "standby.c",
        "takeover.c", "trace.c", "window.c",
        "worker.c",
      ],
      publicHeadersPath: ".", cSettings: c),

    module("Core", []),
    module("Telemetry", ["Core"]),
    module("EventLoop", ["Core", "CUV", "CLinux"]),
    module("Wire", ["Core", "CWire", "CLinux"]),
    module("Volume", ["Core"]),
    module("ShimHost", ["Core", "Wire", "Volume", "EventLoop", "Telemetry", "CWire", "CLinux"]),
    module("Transfer", ["Core", "EventLoop", "Telemetry", "CCurl", "CCrypto"]),
    module("Store", ["Core", "Transfer", "EventLoop", "Telemetry", "CXXHash"]),
    // What the control API says, as values; its clients need no more of the house than this.
    module("ControlModel", []),
    module("MediaHub", ["Core", "ControlModel", "Transfer", "Telemetry", "CCrypto"]),
    module("Staging", ["Core", "ControlModel", "EventLoop", "Volume", "Transfer", "Store", "MediaHub", "Telemetry", "CSQLite"]),
    module(
      "ControlAPI",
      ["Core", "ControlModel", "EventLoop", "ShimHost", "Staging", "MediaHub", "Telemetry", "CHTTPD", "CCrypto", "CLinux", "CPage"]),
    module("ControlClient", ["Core", "ControlModel", "CCurl"]),
    module("Settings", ["Core", "CToml"]),
    module("MediaHubSim", ["Core", "CHTTPD", "CGnuTLS"]),
    .executableTarget(
      name: "fsmvp",
      dependencies: [
        "Core", "ControlModel", "ControlClient", "EventLoop", "Settings", "ShimHost", "Staging", "MediaHub", "ControlAPI", "MediaHubSim",
        "Telemetry", "Transfer", "Store", "Wire", "CCurl", "CSystemd", "CLinux",
      ],
      swiftSettings: strict),
    .executableTarget(name: "mediahub-sim", dependencies: ["MediaHubSim", "Core"], swiftSettings: strict),
    .executableTarget(
      name: "fsmvp-tile", dependencies: ["Core", "ControlModel", "ControlClient", "Settings", "CGtk"], swiftSettings: strict),

    .target(name: "Support", dependencies: ["Core", "EventLoop"], path: "Tests/Support", swiftSettings: strict),
    tests("CoreTests", ["Core", "Support"]),
    tests("EventLoopTests", ["EventLoop", "Core"]),
    tests("WireTests", ["Wire", "Core", "CWire", "CLinux", "Support"]),
    tests("VolumeTests", ["Volume", "Core"]),
    tests("ShimHostTests", ["Support", "ShimHost", "Wire", "Volume", "EventLoop", "Core", "CWire", "CLinux"]),
    tests("TransferTests", ["Transfer", "EventLoop", "Core", "MediaHubSim", "Support"]),
    tests("StoreTests", ["Store", "Transfer", "EventLoop", "Core", "MediaHubSim", "Support"]),
    tests("MediaHubTests", ["ControlModel", "MediaHub", "Transfer", "EventLoop", "Core", "MediaHubSim", "Support"]),
    tests(
      "StagingTests", ["ControlModel", "Staging", "Volume", "Store", "Transfer", "MediaHub", "EventLoop", "Core", "MediaHubSim", "Support"]),
    tests(
      "ControlAPITests",
      [
        "Support", "ControlAPI", "ControlModel", "ControlClient", "fsmvp", "ShimHost", "Staging", "MediaHub", "EventLoop", "Core",
        "Telemetry",
        "CHTTPD", "CLinux",
      ]),
    tests("SettingsTests", ["Support", "Settings", "Core"]),
    tests("TileTests", ["fsmvp-tile", "ControlClient", "ControlModel", "Core", "Support"]),
    tests("MediaHubSimTests", ["MediaHubSim", "Core", "Support"]),
    tests("ShimTests", ["CShim", "CWire", "CLinux"]),
  ]
)
