import Glibc

/// Other programs, for tests.
package enum Program {
    /// A program that could not be started or waited for.
    package struct Failed: Error {
        package let what: String
        package let number: Int32

        package init(what: String, number: Int32) {
            self.what = what
            self.number = number
        }
    }

    /// Runs a program to its end with this process' environment; its exit status, -1 when a signal ended it.
    package static func run(_ arguments: [String]) throws(Failed) -> Int32 {
        var words: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) } + [nil]
        defer { unsafe words.forEach { unsafe free($0) } }
        var pid: pid_t = 0
        let result = unsafe posix_spawn(&pid, arguments[0], nil, nil, &words, environ)
        guard result == 0 else { throw Failed(what: "posix_spawn \(arguments[0])", number: result) }
        var status: Int32 = 0
        while unsafe waitpid(pid, &status, 0) < 0 {
            guard errno == EINTR else { throw Failed(what: "waitpid", number: errno) }
        }
        return status & 0x7f == 0 ? status >> 8 & 0xff : -1
    }
}
