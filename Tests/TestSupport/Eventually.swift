import Glibc

/// Whether the condition holds, now or within 15 seconds: for what other tests disturb, or what a busy machine does late.
package func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
    for _ in 0..<3000 {
        if try condition() { return true }
        usleep(5000)
    }
    return false
}
