import CLinux

/// The numbers of the signals the daemon knows, and what can be done about them.
package enum Signal {
    package static let pipe = SIGPIPE

    /// Makes the process deaf to a signal.
    package static func ignore(_ signal: Int32) throws(Errno) {
        try Errno.check(clx_signal_ignore(signal))
    }
}
