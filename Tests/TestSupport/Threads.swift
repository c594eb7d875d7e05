import Glibc

/// Starts a thread that ends by itself; none of the pool's may be kept waiting.
package func startThread(_ body: @escaping @Sendable () -> Void) {
    pthread_detach(makeThread(body))
}

/// Runs something on a thread of its own, which may be spoilt for anything else, and waits for it.
package func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) throws -> Value {
    let outcome = Outcome<Value>()
    let thread = makeThread { outcome.result = Result { try body() } }
    pthread_join(thread, nil)
    guard let result = outcome.result else { throw Program.Failed(what: "a thread", number: 0) }
    return try result.get()
}

/// Written by a thread before it ends, read after that.
private final class Outcome<Value>: @unchecked Sendable {
    var result: Result<Value, any Error>?
}

private func makeThread(_ body: @escaping @Sendable () -> Void) -> pthread_t {
    final class Box {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let box = unsafe Unmanaged.passRetained(Box(body)).toOpaque()
    let result = unsafe pthread_create(
        &thread,
        nil,
        {
            guard let box = unsafe $0 else { return nil }
            unsafe Unmanaged<Box>.fromOpaque(box).takeRetainedValue().body()
            return nil
        },
        box,
    )
    precondition(result == 0)
    return thread
}
