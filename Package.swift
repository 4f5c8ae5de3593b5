// swift-tools-version: 6.2
// The house of docs/ARCHITECTURE.md. Imports run one way: a target that needs an import its line lacks is in the wrong
// place.
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

// Each of these is given as GROUP/NAME: its folder in Sources or Tests/Swift, whose last part is the name of the
// module.
func name(_ path: String) -> String { String(path.split(separator: "/").last ?? "") }
func library(_ path: String, _ package: String) -> Target {
  .systemLibrary(name: name(path), path: "Sources/" + path, pkgConfig: package)
}
func module(_ path: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name(path), dependencies: dependencies, path: "Sources/" + path, swiftSettings: strict)
}
func program(_ path: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(name: name(path), dependencies: dependencies, path: "Sources/" + path, swiftSettings: strict)
}
func tests(_ path: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name(path), dependencies: dependencies, path: "Tests/Swift/" + path, swiftSettings: strict)
}

let package = Package(
  name: "fsmvp",
  targets: [
    // System libraries: a module map and typed inline setters each.
    library("System/CUV", "libuv"),
    library("System/CCurl", "libcurl"),
    library("System/CSQLite", "sqlite3"),
    library("System/CHTTPD", "libmicrohttpd"),
    library("System/CGnuTLS", "gnutls"),
    library("System/CFuse3", "fuse3"),
    library("System/CXXHash", "libxxhash"),
    library("System/CCrypto", "libcrypto"),
    library("System/CSystemd", "libsystemd"),
    library("System/CGtk", "gtk4"),
    .target(name: "CLinux", path: "Sources/System/CLinux", cSettings: c),
    // The page of the control API, as files that are part of the program; `#embed` is C23.
    .target(
      name: "CPage", path: "Sources/Control/CPage", exclude: ["assets"], cSettings: c + [.unsafeFlags(["-std=c23"])]),
    .target(
      name: "CToml", path: "Sources/System/CToml",
      cxxSettings: [.unsafeFlags(["-std=c++17", "-Wall", "-Wextra", "-Werror"])]),

    // The contract, and the shim's sources where `swift test` reaches them (the shipped shim is one cc line of the
    // Makefile). The kill points of the tests are in debug builds alone.
    .target(
      name: "CWire", path: "shim/wire", cSettings: c + [.define("FSMVP_KILL_POINTS", .when(configuration: .debug))],
      swiftSettings: []),
    .target(
      name: "CShim", dependencies: ["CWire", "CFuse3", "CUV"], path: "shim/src",
      exclude: ["life/main.c"], publicHeadersPath: ".", cSettings: c),

    module("Base/Core", []),
    // Settings as values: a module that declares some needs no more than this.
    module("Base/SettingsModel", ["Core"]),
    module("Base/Telemetry", []),
    module("Base/EventLoop", ["Core", "CUV", "CLinux"]),
    module("Mount/Wire", ["Core", "CWire", "CLinux"]),
    module("Mount/Volume", ["Core"]),
    module("Mount/ShimHost", ["Core", "SettingsModel", "Wire", "Volume", "EventLoop", "Telemetry", "CWire", "CLinux"]),
    // A source of ranges, as values and protocols: fetching knows no more of an origin, and HTTP is one of its kinds.
    module("Bytes/ByteSource", ["Core"]),
    module(
      "Bytes/Transfer", ["Core", "SettingsModel", "ByteSource", "EventLoop", "Telemetry", "CCurl", "CCrypto", "CLinux"]),
    module("Bytes/Store", ["Core", "SettingsModel", "ByteSource", "EventLoop", "Telemetry", "CXXHash"]),
    module("Origins/HTTPSource", ["Core", "ByteSource", "Transfer"]),
    // What the control API says, as values; its clients need no more of the house than this.
    module("Control/ControlModel", []),
    // A module's part of the control API: routes and events. The server is given them and knows no module by name.
    module("Control/ControlRoutes", ["Core", "ControlModel", "EventLoop"]),
    module(
      "Origins/MediaHub",
      [
        "Core", "SettingsModel", "ByteSource", "ControlModel", "ControlRoutes", "EventLoop", "Transfer", "HTTPSource",
        "Telemetry",
        "CCrypto",
      ]),
    // The bytes of files of all volumes: where they are kept, and which of them go.
    module("Bytes/OpenFiles", ["Core", "ByteSource", "EventLoop", "Volume", "Store", "Telemetry"]),
    // A kind of volume, as the control plane registers and mounts it.
    module("Volumes/VolumeKinds", ["Core", "ControlRoutes", "Volume"]),
    module(
      "Volumes/Staging",
      [
        "Core", "SettingsModel", "ByteSource", "ControlModel", "ControlRoutes", "EventLoop", "Volume", "Transfer",
        "Store", "OpenFiles",
        "MediaHub",
        "Telemetry", "CSQLite", "VolumeKinds",
      ]),
    // The bucket server: HTTP on sockets and threads of its own. No other module but the daemon knows it.
    module(
      "Volumes/Buckets",
      [
        "Core", "SettingsModel", "ControlModel", "EventLoop", "Telemetry", "CHTTPD", "CSQLite", "CCrypto", "CLinux",
        "CWire",
      ]),
    module(
      "Control/ControlAPI",
      [
        "Core", "SettingsModel", "ControlModel", "ControlRoutes", "EventLoop", "Telemetry", "CHTTPD", "CCrypto",
        "CLinux",
        "CPage",
      ]),
    module("Control/ControlClient", ["Core", "ControlModel", "CCurl"]),
    module("Base/Settings", ["Core", "SettingsModel", "CToml"]),
    module("Origins/MediaHubSim", ["Core", "CHTTPD", "CGnuTLS"]),
    // The command line is a client of the control API and knows no server.
    module("CommandLine/Syntax", ["Core", "SettingsModel", "ControlModel"]),
    module("CommandLine/TerminalUI", ["Core", "Syntax", "CLinux"]),
    module(
      "CommandLine/Commands",
      ["Core", "Settings", "SettingsModel", "ControlModel", "ControlClient", "Syntax", "TerminalUI", "CLinux"]),
    module("Daemon/HostSystem", ["Core", "EventLoop", "Telemetry", "CSystemd"]),
    module(
      "Daemon/Daemon",
      [
        "Core", "Buckets", "ControlModel", "ControlClient", "EventLoop", "Settings", "SettingsModel", "ShimHost",
        "OpenFiles", "Staging",
        "VolumeKinds", "MediaHub",
        "ControlRoutes", "ControlAPI",
        "MediaHubSim", "Telemetry", "Transfer", "Store", "Wire", "Syntax", "HostSystem", "CLinux",
      ]),
    program("Programs/fsmvp", ["Commands", "Daemon", "Wire"]),
    program("Programs/mediahub-sim", ["MediaHubSim"]),
    program("Programs/fsmvp-tile", ["Core", "ControlModel", "ControlClient", "Settings", "CGtk"]),

    .target(name: "Support", dependencies: ["Core"], path: "Tests/Swift/Support", swiftSettings: strict),
    // A control API whose operations are fakes; it sees what is internal to ControlAPI, so only debug builds have it.
    .target(
      name: "ControlAPIFakes",
      dependencies: [
        "Support", "ControlAPI", "ControlRoutes", "Daemon", "ControlModel", "EventLoop", "MediaHub", "Staging", "Core",
        "Telemetry",
        "CHTTPD", "CLinux",
      ],
      path: "Tests/Swift/Control/ControlAPIFakes", swiftSettings: strict),
    tests("Base/CoreTests", ["Core", "Support"]),
    tests("Base/EventLoopTests", ["EventLoop", "Core"]),
    tests("Base/TelemetryTests", ["Telemetry"]),
    tests("Mount/WireTests", ["Wire", "Core", "CWire", "CLinux", "Support"]),
    tests("Mount/VolumeTests", ["Volume", "Core"]),
    tests(
      "Mount/ShimHostTests",
      ["Support", "ShimHost", "Wire", "Volume", "EventLoop", "Core", "Telemetry", "CWire", "CLinux"]),
    tests(
      "Bytes/TransferTests", ["Transfer", "ByteSource", "HTTPSource", "EventLoop", "Core", "MediaHubSim", "Support"]),
    tests(
      "Bytes/StoreTests",
      ["Store", "ByteSource", "HTTPSource", "Transfer", "EventLoop", "Core", "MediaHubSim", "Support"]),
    tests("Bytes/OpenFilesTests", ["OpenFiles", "Volume", "Core"]),
    tests("Origins/HTTPSourceTests", ["HTTPSource", "ByteSource", "Transfer", "Core"]),
    tests(
      "Origins/MediaHubTests",
      [
        "ControlModel", "MediaHub", "ByteSource", "HTTPSource", "Transfer", "EventLoop", "Core", "MediaHubSim",
        "Support",
      ]),
    tests(
      "Volumes/StagingTests",
      [
        "ControlModel", "OpenFiles", "Staging", "Volume", "Store", "ByteSource", "MediaHub", "EventLoop", "Core",
        "Support",
      ]),
    tests("Volumes/BucketsTests", ["Buckets", "Core", "Support"]),
    // The smallest kind of volume, from a folder of its own.
    .target(
      name: "TextVolume",
      dependencies: ["Core", "ControlModel", "ControlRoutes", "EventLoop", "Volume", "VolumeKinds", "CLinux"],
      path: "Tests/Swift/Volumes/TextVolume", swiftSettings: strict),
    tests(
      "Volumes/TextVolumeTests",
      [
        "ControlAPI", "ControlClient", "ControlModel", "Core", "EventLoop", "ShimHost", "Support", "TextVolume",
        "Daemon", "CLinux",
      ]),
    tests(
      "Control/ControlAPITests",
      [
        "Buckets", "Support", "ControlAPI", "ControlAPIFakes", "Daemon", "ControlModel", "ControlRoutes",
        "ControlClient",
        "Staging", "MediaHub",
        "EventLoop",
        "Core",
        "CLinux",
      ]),
    // The list of all settings is the daemon's.
    tests(
      "Base/SettingsTests",
      [
        "Support", "Settings", "SettingsModel", "Daemon", "MediaHub", "Staging", "Store", "Transfer", "ShimHost",
        "Core",
      ]),
    tests("CommandLine/SyntaxTests", ["Syntax", "SettingsModel", "Daemon"]),
    tests("CommandLine/TerminalUITests", ["TerminalUI", "ControlModel"]),
    tests(
      "CommandLine/CommandsTests",
      [
        "Commands", "Syntax", "TerminalUI", "ControlAPIFakes", "ControlClient", "ControlModel", "EventLoop", "MediaHub",
        "ShimHost", "Staging", "Core", "CLinux", "Support",
      ]),
    tests("Daemon/HostSystemTests", ["HostSystem", "Core", "Support"]),
    tests("Daemon/DaemonTests", ["Daemon", "Core", "CLinux", "Support"]),
    tests("Programs/TileTests", ["fsmvp-tile", "ControlClient", "ControlModel", "Support"]),
    tests("Origins/MediaHubSimTests", ["MediaHubSim", "Core", "Support"]),
    tests("ShimTests", ["CShim", "CWire", "CLinux"]),
  ]
)
