import Model

/// One mistake in one file: where, the offending text, and the mend.
package struct PolicyFileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The file as the user named it.
    package let file: String
    /// The line from 1; 0 for what concerns the whole file.
    package let line: Int
    /// The column from 1, in characters.
    package let column: Int
    package let message: String

    package init(file: String, line: Int = 0, column: Int = 0, message: String) {
        self.file = file
        self.line = line
        self.column = column
        // A mend may repeat a part of the file, which may hold what would break the line.
        self.message = TextError.escape(message)
    }

    /// `policies/a.yaml:12:7: unknown key 'port'; did you mean 'ports'?`.
    package var description: String {
        line > 0 ? "\(file):\(line):\(column): \(message)" : "\(file): \(message)"
    }
}

/// Every mistake that was found, by file and position: never only the first.
package struct PolicyErrors: Error, Hashable, Sendable, CustomStringConvertible {
    /// At least one.
    package let errors: [PolicyFileError]

    init(_ errors: [PolicyFileError]) {
        self.errors = errors.sorted { left, right in
            (left.file, left.line, left.column, left.message) < (right.file, right.line, right.column, right.message)
        }
    }

    /// One line for each.
    package var description: String { errors.map(\.description).joined(separator: "\n") }
}
