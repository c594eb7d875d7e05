// fuzz: Model Policy PolicyFiles -lyaml

import Model
import Policy
import PolicyFiles

/// libFuzzer's entry: reads the bytes as a policy file and as the host configuration.
///
/// Stops where a file is refused without a reason that fits in one line, or a policy that was read cannot be asked.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    do throws(PolicyErrors) {
        ask(try PolicyReader.read(bytes, file: "fuzz.yaml") { $0 == "trainer" ? 1001 : nil })
    } catch {
        check(error)
    }
    do throws(PolicyErrors) {
        _ = try ConfigurationReader.read(bytes, file: "fuzz.yaml")
    } catch {
        check(error)
    }
    return 0
}

private func check(_ refusal: PolicyErrors) {
    precondition(!refusal.errors.isEmpty, "refused without a reason")
    for error in refusal.errors {
        let controls = error.description.unicodeScalars.first { $0.properties.generalCategory == .control }
        precondition(controls == nil, "an error with control characters")
    }
}

private func ask(_ workload: Workload) {
    precondition(workload.cgroup.overlaps(workload.cgroup), "a glob that matches nothing")
    _ = workload.check(workload.expect)
    for rule in workload.mappable {
        precondition(!rule.targets.isEmpty && !rule.ports.isEmpty, "a rule without targets or ports")
    }
    for address in SpecialAddresses.metadata + workload.allow.compactMap(\.firstAddress) {
        let destination = Destination(address: address, port: 443, transport: .tcp)
        let decision = workload.decide(Question(destination: destination))
        precondition(decision.verdict == .allow || decision.verdict == .deny, "the evaluator allows or denies")
        precondition(decision.verdict == .deny || decision.rule != nil, "allowed without a rule")
    }
}

extension Rule {
    fileprivate var firstAddress: IPAddress? {
        for case .prefix(let prefix) in targets { return prefix.address }
        return nil
    }
}
