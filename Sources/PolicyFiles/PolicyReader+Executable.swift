import Model

extension PolicyReader {
    /// Reads `executable`.
    mutating func readExecutable(_ node: YAMLNode) -> String? {
        guard let text = report.text(node, "executable") else { return nil }
        let components = text.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        guard text.utf8.first == UInt8(ascii: "/"), text.utf8.count < 4096 else {
            let mend = "write the absolute path, like /usr/bin/python3.11"
            report.add(node.mark, "executable \(TextError.quote(text)) is no absolute path; \(mend)")
            return nil
        }
        // The kernel gives /proc/PID/exe in its one form: another spelling would never match.
        guard components.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }) else {
            let mend = "write it without '//', '.', '..' and a slash at the end"
            report.add(node.mark, "executable \(TextError.quote(text)) is not in its plain form; \(mend)")
            return nil
        }
        // Two spellings of one text are two files for the kernel: ASCII has one spelling only.
        guard text.utf8.allSatisfy({ (0x20...0x7e).contains($0) }) else {
            let mend = "write the path of a program whose path is ASCII"
            report.add(node.mark, "executable \(TextError.quote(text)) holds more than printable ASCII; \(mend)")
            return nil
        }
        guard !text.utf8.contains(UInt8(ascii: "*")) else {
            report.add(node.mark, "executable \(TextError.quote(text)) holds '*'; write the path of one program")
            return nil
        }
        return text
    }
}
