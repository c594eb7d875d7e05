internal import Glibc

/// Lines for the operator on standard error; systemd puts them into the journal.
package enum Log {
    /// The priority that systemd reads off a line's start (sd-daemon(3)).
    package enum Level: String {
        case error = "<3>"
        case warning = "<4>"
        case info = "<6>"

        fileprivate var word: String {
            switch self {
            case .error: "error: "
            case .warning: "warning: "
            case .info: ""
            }
        }
    }

    private static let underSystemd = unsafe getenv("JOURNAL_STREAM") != nil

    /// Writes one line; control characters in it cannot make a second.
    package static func write(_ level: Level, _ message: String) {
        let escaped = message.unicodeScalars.map { scalar in
            scalar.value < 32 || scalar.value == 127 ? "\\u{\(String(scalar.value, radix: 16))}" : String(scalar)
        }.joined()
        let line = (underSystemd ? level.rawValue : "") + "egressd: " + level.word + escaped + "\n"
        let bytes = Array(line.utf8)
        _ = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    package static func info(_ message: String) { write(.info, message) }
    package static func warning(_ message: String) { write(.warning, message) }
    package static func error(_ message: String) { write(.error, message) }
}
