// swift-tools-version: 6.2
import PackageDescription

// Pure targets import only pure targets; a binding imports one family of C; only Daemon and egressd import everything.
let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableExperimentalFeature("Lifetimes"),
]

func target(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], fixtures: Bool = false) -> Target {
    .testTarget(
        name: name,
        dependencies: dependencies,
        exclude: fixtures ? ["Fixtures"] : [],
        swiftSettings: strict,
    )
}

func shim(_ name: String, libraries: [String] = []) -> Target {
    .target(
        name: name,
        cSettings: [.define("_GNU_SOURCE"), .unsafeFlags(["-Wall", "-Wextra", "-Werror"])],
        linkerSettings: libraries.map { .linkedLibrary($0) },
    )
}

let package = Package(
    name: "egressd",
    products: [.executable(name: "egressd", targets: ["egressd"])],
    targets: [
        // The C border.
        shim("CLinux"),
        shim("CNetfilter", libraries: ["mnl", "nftnl"]),
        .systemLibrary(name: "CYAML"),
        .systemLibrary(name: "CSQLite"),

        // Pure: values in, values out.
        target("Model"),
        target("Policy", ["Model"]),
        target("Ruleset", ["Model", "Policy"]),
        target("Wire", ["Model"]),
        target("Resolver", ["Model", "Wire"]),
        target("Broker", ["Model", "Policy", "Ruleset", "Wire"]),

        // Bindings: one family of C each.
        target("PolicyFiles", ["Model", "Policy", "CYAML"]),
        target("System", ["Model", "CLinux"]),
        target("Netfilter", ["Model", "Ruleset", "Wire", "CNetfilter"]),
        target("Record", ["Model", "CSQLite"]),
        target("Control", ["Model", "System"]),

        // Composition.
        target(
            "Daemon",
            [
                "Model", "Policy", "Ruleset", "Wire", "Resolver", "Broker", "PolicyFiles", "System", "Netfilter",
                "Record", "Control",
            ],
        ),
        .executableTarget(
            name: "egressd",
            dependencies: [
                "Model", "Policy", "Ruleset", "Broker", "PolicyFiles", "System", "Control", "Daemon",
            ],
            swiftSettings: strict,
        ),

        // What Tests/Lab/test_dns_wire.py asks the reader and writer of DNS by; not a part of the product.
        .executableTarget(
            name: "dnscheck",
            dependencies: ["Model", "Wire"],
            path: "Tests/DNSCheck",
            swiftSettings: strict,
        ),

        tests("ModelTests", ["Model"]),
        tests("PolicyTests", ["Model", "Policy"]),
        tests("PolicyFilesTests", ["Model", "Policy", "PolicyFiles"], fixtures: true),
        tests("RulesetTests", ["Model", "Policy", "Ruleset", "PolicyFiles"], fixtures: true),
        tests("WireTests", ["Model", "Wire"]),
        tests("ResolverTests", ["Model", "Wire", "Resolver"]),
        tests("BrokerTests", ["Model", "Policy", "Ruleset", "Wire", "Broker"]),
        tests("SystemTests", ["Model", "System"]),
        tests("RecordTests", ["Model", "Record"]),
        tests("ControlTests", ["Model", "System", "Control"]),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu17,
)
