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
        dependencies: dependencies + ["TestSupport"],
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
        .systemLibrary(name: "CCrypto"),

        // Pure: values in, values out.
        target("Model"),
        target("Policy", ["Model"]),
        target("Ruleset", ["Model", "Policy"]),
        target("Wire", ["Model"]),
        target("Resolver", ["Model", "Wire"]),
        target("Inspection", ["Model", "Wire"]),
        target("Coverage", ["Model", "Policy"]),
        target("Broker", ["Model", "Policy", "Ruleset", "Wire", "Inspection"]),

        // Bindings: one family of C each.
        target("PolicyFiles", ["Model", "Policy", "CYAML"]),
        target("System", ["Model", "CLinux"]),
        target("Netfilter", ["Model", "Ruleset", "Wire", "Coverage", "CNetfilter"]),
        target("Survey", ["Model", "Policy", "Coverage", "System"]),
        target("Record", ["Model", "System", "CSQLite"]),
        target("Control", ["Model", "System"]),
        target("Crypto", ["Wire", "CCrypto"]),

        // Composition.
        target(
            "Daemon",
            [
                "Model", "Policy", "Ruleset", "Wire", "Resolver", "Inspection", "Broker", "PolicyFiles", "System",
                "Netfilter", "Record", "Control", "Crypto",
            ],
        ),
        .executableTarget(
            name: "egressd",
            dependencies: [
                "Model", "Policy", "Ruleset", "Broker", "Coverage", "PolicyFiles", "System", "Survey", "Netfilter",
                "Control", "Crypto", "Daemon",
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

        // What Tests/Lab/test_*_wire.py ask the readers of first flights by; not a part of the product.
        .executableTarget(
            name: "wirecheck",
            dependencies: ["Model", "Wire", "Crypto"],
            path: "Tests/WireCheck",
            swiftSettings: strict,
        ),

        // How fast the readers of first flights are; not a part of the product.
        .target(
            name: "CAllocations",
            path: "Tests/Bench/Allocations",
            cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])],
        ),
        .executableTarget(
            name: "readerbench",
            dependencies: ["Model", "Wire", "Crypto", "CAllocations"],
            path: "Tests/Bench/Readers",
            swiftSettings: strict,
        ),

        // What the unit tests share.
        .target(name: "TestSupport", dependencies: ["Wire"], path: "Tests/TestSupport", swiftSettings: strict),
        .target(
            name: "CTestCalls",
            path: "Tests/TestCalls",
            cSettings: [.define("_GNU_SOURCE"), .unsafeFlags(["-Wall", "-Wextra", "-Werror"])],
        ),
        tests("ModelTests", ["Model"]),
        tests("PolicyTests", ["Model", "Policy"]),
        tests("PolicyFilesTests", ["Model", "Policy", "PolicyFiles"], fixtures: true),
        tests("RulesetTests", ["Model", "Policy", "Ruleset", "PolicyFiles"], fixtures: true),
        tests("WireTests", ["Model", "Wire"]),
        tests("ResolverTests", ["Model", "Wire", "Resolver"]),
        tests("InspectionTests", ["Model", "Wire", "Inspection", "Crypto"], fixtures: true),
        tests("BrokerTests", ["Model", "Policy", "Ruleset", "Wire", "Inspection", "Broker"]),
        tests("SystemTests", ["Model", "System", "CLinux", "CTestCalls"]),
        tests("CoverageTests", ["Model", "Policy", "Ruleset", "Coverage"]),
        tests("SurveyTests", ["Model", "Policy", "Coverage", "System", "Survey"]),
        tests("NetfilterTests", ["Model", "Ruleset", "Wire", "Netfilter", "CTestCalls"]),
        tests("RecordTests", ["Model", "Record"]),
        tests("ControlTests", ["Model", "System", "Control"]),
        tests("CryptoTests", ["Wire", "Crypto"], fixtures: true),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu17,
)
