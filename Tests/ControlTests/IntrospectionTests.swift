import Control
import Model
import Testing

@Suite struct IntrospectionTests {
    private func ask(_ name: String, _ message: String) throws -> JSON? {
        let bench = try Bench("introspection-\(name)") { $0.reply(["handled": true]) }
        let client = try RawClient(bench)
        try client.send(message)
        try bench.turn()
        return try client.receive().first ?? nil
    }

    @Test func theServiceSaysWhatItIs() throws {
        let reply = try ask("info", #"{"method":"org.varlink.service.GetInfo"}"#)?["parameters"]
        #expect(reply?["product"] == "egressd")
        #expect(reply?["version"] == "1.2.3")
        #expect(reply?["interfaces"] == ["io.egressd", "org.varlink.service"])
        #expect(Set(reply?.object?.map(\.key) ?? []) == ["vendor", "product", "version", "url", "interfaces"])
    }

    @Test(arguments: ["io.egressd", "org.varlink.service"])
    func interfacesAreDescribed(name: String) throws {
        let message = #"{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"\#(name)"}}"#
        let text = try ask("described-\(name)", message)?["parameters"]?["description"]?.string
        #expect(text?.split(separator: "\n").contains("interface \(name)"[...]) == true)
    }

    @Test(arguments: [
        (#"{"method":"org.varlink.service.GetInterfaceDescription"}"#, "InvalidParameter", "parameter", "interface"),
        (
            #"{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"a.b"}}"#,
            "InterfaceNotFound", "interface", "a.b"
        ),
        (#"{"method":"org.varlink.service.Nothing"}"#, "MethodNotFound", "method", "Nothing"),
        (#"{"method":"io.egressd.Nothing"}"#, "MethodNotFound", "method", "Nothing"),
        (#"{"method":"io.egressd.status"}"#, "MethodNotFound", "method", "status"),
        (#"{"method":"io.systemd.Status"}"#, "InterfaceNotFound", "interface", "io.systemd"),
        (#"{"method":"Status"}"#, "InterfaceNotFound", "interface", ""),
    ])
    func whatIsNotThereIsSaid(message: String, error: String, key: String, value: String) throws {
        let reply = try ask("\(error)-\(value)-\(message.utf8.count)", message)
        #expect(reply?["error"]?.string == "org.varlink.service.\(error)")
        #expect(reply?["parameters"] == .object([(key: key, value: .string(value))]))
    }

    @Test func everyDeclaredMethodReachesTheHandler() throws {
        #expect(
            ControlInterface.methods == [
                "Status", "Workloads", "Requests", "Approve", "Grants", "Revoke", "Names", "Log", "Reload",
            ],
        )
        for method in ControlInterface.methods {
            #expect(try ask(method, #"{"method":"io.egressd.\#(method)"}"#) == ["parameters": ["handled": true]])
        }
    }

    @Test func everyErrorThatIsAnsweredIsDeclared() {
        let failures: [ControlFailure] = [
            .permissionDenied(reason: ""), .notFound(what: ""), .invalidRequest(reason: ""), .reloadFailed(errors: []),
            .invalidParameter(""), .methodNotFound(""), .methodNotImplemented(""), .interfaceNotFound(""),
        ]
        for failure in failures {
            let short = failure.name.split(separator: ".").last ?? ""
            let text = failure.name.hasPrefix("io.egressd.") ? ControlInterface.description : ControlInterface.service
            let key = failure.parameters.object?.first?.key ?? "none"
            #expect(text.split(separator: "\n").contains { $0.hasPrefix("error \(short) (\(key): ") })
        }
    }
}
