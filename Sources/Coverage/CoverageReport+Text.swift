internal import Model

extension CoverageReport {
    private static let stateWidth = 8
    private static let columns = 100

    /// The report for people: groups of lines, the state first, wrapped to `width` columns.
    package func text(width: Int = columns, coloured: Bool = false) -> String {
        var lines = ["\(host.oneLine), Linux \(kernel)"]
        for group in Check.Group.allCases {
            let members = checks.filter { $0.group == group }
            guard !members.isEmpty else { continue }
            lines += ["", group.title]
            for check in members { lines += Self.lines(of: check, width: width, coloured: coloured) }
        }
        lines += ["", summary]
        return lines.joined(separator: "\n")
    }

    private var summary: String {
        let counts = Check.State.allCases.filter { count($0) > 0 }.map { "\(count($0)) \($0.rawValue)" }
        return counts.joined(separator: ", ")
    }

    private static func lines(of check: Check, width: Int, coloured: Bool) -> [String] {
        let word = check.state == .open ? "OPEN" : check.state.rawValue
        let padding = String(repeating: " ", count: stateWidth - word.count)
        let indent = String(repeating: " ", count: stateWidth + 4)
        let number = check.bypass.map { " [\($0)]" } ?? ""
        let first = wrapped("\(check.title)\(number): \(check.detail.oneLine)", to: width - indent.count)
        var lines = first.enumerated().map { index, line in
            index == 0 ? "  \(paint(word, check.state, coloured))\(padding)  \(line)" : indent + line
        }
        guard check.state != .enforced, check.state != .absent else { return lines }
        for text in [check.consequence, check.mend.map { "→ \($0)" }].compactMap(\.self) {
            lines += wrapped(text, to: width - indent.count).map { indent + $0 }
        }
        return lines
    }

    private static func paint(_ word: String, _ state: Check.State, _ coloured: Bool) -> String {
        let colour: Int? =
            switch state {
            case .enforced: 32
            case .open: 31
            case .partly, .unknown: 33
            case .absent, .residual: nil
            }
        guard coloured, let colour else { return word }
        return "\u{1b}[\(colour)m\(word)\u{1b}[0m"
    }

    /// Lines of whole words; a word that is longer than a line has one of its own.
    private static func wrapped(_ text: String, to width: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if !line.isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = ""
            }
            line += line.isEmpty ? String(word) : " " + word
        }
        return lines + [line]
    }
}

extension Check.Group {
    fileprivate var title: String {
        switch self {
        case .daemon: "The daemon"
        case .kernel: "The kernel"
        case .path: "Past the rules"
        case .doors: "Side doors"
        case .policy: "The policy"
        case .residual: "What no packet filter takes away"
        }
    }
}
