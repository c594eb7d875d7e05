import CLinux

/// The name of the calling thread, as `top -H` shows it.
package enum ThreadName {
    /// Sets it; cut after 15 bytes.
    package static func set(_ name: String) {
        _ = unsafe clx_thread_name(name)
    }
}
