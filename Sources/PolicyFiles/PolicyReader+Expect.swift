import Model
import Policy

extension PolicyReader {
    /// Reads `expect`.
    mutating func expectations(_ node: YAMLNode) -> [Expectation] {
        let example = "[{to: \"packages.example.org:443\", verdict: allow}]"
        guard let items = report.items(node, "expect", example: example) else { return [] }
        return items.compactMap { expectation($0) }
    }

    private mutating func expectation(_ node: YAMLNode) -> Expectation? {
        let keys = ["to", "verdict", "executable"]
        guard let members = Members(node, of: "an expectation", keys: keys, &report) else { return nil }
        for key in ["to", "verdict"] where members.lacks(key) {
            let example = key == "to" ? "to: \"packages.example.org:443\"" : "verdict: allow"
            report.add(members.mark, "required key '\(key)' is missing; write '\(example)'")
        }
        let subject = members["to"].flatMap { node in
            report.value(node, "to") { (text) throws(TextError) in try Expectation.Subject.read(text) }
        }
        let verdict = members["verdict"].flatMap { node in
            report.value(node, "verdict") { (text) throws(TextError) in
                guard let verdict = Verdict(rawValue: text) else {
                    throw TextError("\(TextError.quote(text)) is no verdict; write allow, deny, hold or observe")
                }
                return verdict
            }
        }
        let executable = members["executable"].flatMap { report.text($0, "executable") }
        guard let subject, let verdict else { return nil }
        return Expectation(
            subject: subject.subject,
            port: subject.port,
            transport: subject.transport,
            executable: executable,
            verdict: verdict,
        )
    }
}
