// swift-tools-version: 6.2

import Foundation
import PackageDescription

/// A file beside the sources that `make profile` writes (docs/decisions/0033). `nil` where it is not there, and with
/// `REMORA_PROFILE=off`: a release does without it then, for example with a compiler that cannot read it.
func measured(_ name: String) -> String? {
    let path = "\(Context.packageDirectory)/Sources/\(name)"
    let isWanted = Context.environment["REMORA_PROFILE"] != "off"
    return isWanted && FileManager.default.isReadableFile(atPath: path) ? path : nil
}

/// A release is optimised for what `make profile` counted, which sets the variable to count anew.
let profile: [String] =
    if let directory = Context.environment["REMORA_COUNT_INTO"] {
        ["-Xfrontend", "-ir-profile-generate=\(directory)"]
    } else if let counts = measured("release.profdata") {
        ["-Xfrontend", "-ir-profile-use=\(counts)"]
    } else {
        []
    }

/// What runs lies together, the parts of Swift's runtime too, so that fewer pages are needed.
let order: [String] =
    if let names = measured("release.order") {
        ["-Xlinker", "--symbol-ordering-file=\(names)", "-Xlinker", "--no-warn-symbol-ordering"]
    } else {
        []
    }

/// Every target of ours is built with the same, strict settings.
let strict: [SwiftSetting] = [
    // docs/decisions/0010
    .unsafeFlags(["-cross-module-optimization", "-enforce-exclusivity=unchecked"], .when(configuration: .release)),
    // Without the option, names of private functions would begin with the folder that they were built in.
    .unsafeFlags(profile + ["-Xllvm", "-static-func-full-module-prefix=false"], .when(configuration: .release)),
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

/// The wrappers around C also have every unsafe expression marked.
let strictAroundC: [SwiftSetting] = strict + [.strictMemorySafety()]

/// A layer of Remora: imports point down only.
func layer(_ name: String, on dependencies: [Target.Dependency] = [], aroundC: Bool = false) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: aroundC ? strictAroundC : strict)
}

func tests(of name: String, with more: [Target.Dependency] = [], golden: [String] = []) -> Target {
    // Golden files are read where they are in the source tree.
    .testTarget(
        name: "\(name)Tests", dependencies: [.byName(name: name)] + more, exclude: golden, swiftSettings: strict)
}

let package = Package(
    name: "remora",
    targets: [
        // By its full name in the system's folder, without pkg-config.
        .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "CLibevent", pkgConfig: "libevent", providers: [.apt(["libevent-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),

        layer("JSONText"),
        layer("HTTPWire"),
        layer("Crypto", on: ["COpenSSL"], aroundC: true),
        layer("Reactor", on: ["CLibevent", "Crypto"], aroundC: true),
        layer("HTTPTransport", on: ["HTTPWire", "Reactor"]),
        layer("MCP", on: ["JSONText"]),
        layer("Translation", on: ["MCP", "JSONText"]),
        layer(
            "Legacy",
            on: ["Translation", "MCP", "JSONText", "HTTPTransport", "HTTPWire", "Reactor", "Crypto", "Telemetry"]),
        layer("Configuration", on: ["CYAML", "Crypto", "JSONText"], aroundC: true),
        layer("Telemetry", aroundC: true),
        layer("Store", on: ["CHiredis", "Reactor", "Telemetry"], aroundC: true),
        layer(
            "Gateway",
            on: [
                "Legacy", "Translation", "MCP", "JSONText", "HTTPTransport", "HTTPWire", "Reactor", "Crypto",
                "Store", "Telemetry",
            ]),
        layer(
            "Admin",
            on: ["Gateway", "Legacy", "MCP", "JSONText", "HTTPTransport", "HTTPWire", "Reactor", "Store", "Telemetry"]),
        layer("DemoServer", on: ["MCP", "JSONText", "HTTPTransport", "HTTPWire", "Reactor", "Crypto"]),

        layer(
            "Server",
            on: [
                "Admin", "Configuration", "Gateway", "Legacy", "Translation", "MCP", "HTTPTransport", "HTTPWire",
                "Reactor", "Crypto", "Store", "Telemetry",
            ]),
        .executableTarget(
            name: "remora",
            dependencies: [
                "Server", "Configuration", "Gateway", "Telemetry", "HTTPTransport", "HTTPWire", "MCP", "Reactor",
                "Crypto", "DemoServer",
            ],
            swiftSettings: strict,
            linkerSettings: [
                // In place of glibc's (docs/decisions/0034). Sanitizers, which debug builds may have, bring their own.
                .linkedLibrary("mimalloc", .when(configuration: .release)),
                .unsafeFlags(["-use-ld=lld"] + order, .when(configuration: .release)),
            ]),
        .executableTarget(
            name: "legacy-demo", dependencies: ["DemoServer", "Reactor", "Telemetry"], swiftSettings: strict),

        .systemLibrary(name: "CEpoll", path: "Tests/CEpoll"),
        .executableTarget(name: "crossing", dependencies: ["CEpoll"], path: "Tests/Crossing", swiftSettings: strict),
        // docs/decisions/0049
        .target(
            name: "SimulatedKernel", path: "Tests/Simulator/Kernel", cSettings: [.define("_GNU_SOURCE")]),
        .executableTarget(
            name: "simulator",
            dependencies: ["SimulatedKernel", "Server", "Gateway", "Legacy", "Reactor", "Telemetry"],
            path: "Tests/Simulator", exclude: ["Kernel", "README.md", "build", "faults", "reach", "run", "seeds"],
            swiftSettings: strict,
            // What libevent and OpenSSL call is looked for in the program first.
            linkerSettings: [.unsafeFlags(["-Xlinker", "--export-dynamic"])]),
        .target(name: "TestSupport", dependencies: ["Reactor"], path: "Tests/TestSupport", swiftSettings: strict),
        tests(of: "JSONText"),
        tests(of: "HTTPWire", with: ["TestSupport"]),
        tests(of: "Crypto", with: ["TestSupport"]),
        tests(of: "Reactor", with: ["Crypto", "TestSupport"]),
        tests(of: "HTTPTransport", with: ["HTTPWire", "Reactor", "TestSupport"]),
        tests(of: "MCP", with: ["JSONText"]),
        tests(of: "Telemetry", with: ["JSONText"]),
        tests(of: "Store", with: ["Reactor", "Telemetry", "TestSupport"]),
        tests(of: "Configuration"),
        tests(of: "Translation", with: ["MCP", "JSONText"], golden: ["Golden"]),
        tests(
            of: "Legacy",
            with: [
                "Crypto", "HTTPTransport", "HTTPWire", "JSONText", "MCP", "Reactor", "Telemetry", "TestSupport",
                "Translation",
            ]),
        tests(of: "Admin", with: ["Gateway", "Legacy", "Reactor", "Store", "Telemetry"]),
        tests(
            of: "Gateway",
            with: [
                "Crypto", "HTTPTransport", "HTTPWire", "JSONText", "Legacy", "MCP", "Reactor", "Telemetry",
                "TestSupport", "Translation",
            ]),
    ]
)
