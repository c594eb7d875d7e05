import Glibc
import Model
import System
import Testing

/// A socket in the place of the service manager's.
private final class Manager {
    /// Where it listens: in the abstract namespace, with `@` for the first byte.
    let path: String
    private let descriptor: Int32

    init() throws {
        let name = "egressd-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        path = "@" + name
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        try #require(descriptor >= 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0[1...].copyBytes(from: name.utf8) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + 1 + name.utf8.count)
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe bind(descriptor, UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self), length)
        }
        try #require(result == 0)
    }

    deinit { close(descriptor) }

    /// The next message, and how many descriptors came with it.
    func next() -> (text: String, descriptors: Int)? {
        var bytes = [UInt8](repeating: 0, count: 4096)
        var control = [UInt64](repeating: 0, count: 32)
        return unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe control.withUnsafeMutableBytes { ancillary -> (String, Int)? in
                var part = unsafe iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
                return unsafe withUnsafeMutablePointer(to: &part) { part -> (String, Int)? in
                    var message = unsafe msghdr()
                    unsafe message.msg_iov = part
                    unsafe message.msg_iovlen = 1
                    unsafe message.msg_control = ancillary.baseAddress
                    unsafe message.msg_controllen = ancillary.count
                    let count = unsafe recvmsg(descriptor, &message, Int32(MSG_DONTWAIT))
                    guard count >= 0 else { return nil }
                    // A cmsghdr has 16 bytes before its data.
                    let passed = unsafe message.msg_controllen == 0 ? 0 : (ancillary.load(as: Int.self) - 16) / 4
                    for index in 0..<passed {
                        close(unsafe ancillary.load(fromByteOffset: 16 + 4 * index, as: Int32.self))
                    }
                    return unsafe (String(decoding: buffer.prefix(count), as: UTF8.self), passed)
                }
            }
        }
    }
}

private func service(_ environment: [String: String], pid: Int32 = 7) -> ServiceManager {
    ServiceManager(environment: { environment[$0] }, pid: pid)
}

@Suite struct ServiceManagerTests {
    @Test func tellsWhatItIsAsked() throws {
        let manager = try Manager()
        let service = service(["NOTIFY_SOCKET": manager.path])
        #expect(service.tell(.ready, .status("two workloads\nREADY=0\u{1b}[2J")))
        // A line feed in the text would begin an assignment of its own.
        #expect(manager.next()?.text == "READY=1\nSTATUS=two workloads READY=0 [2J")
        #expect(service.tell(.alive))
        #expect(manager.next()?.text == "WATCHDOG=1")
        #expect(service.tell(.stopping))
        #expect(manager.next()?.text == "STOPPING=1")
        #expect(service.tell(.reloading))
        let text = try #require(manager.next()?.text)
        #expect(text.hasPrefix("RELOADING=1\nMONOTONIC_USEC="))
        #expect(Int64(text.split(separator: "=").last ?? "").map { $0 > 0 } == true)
        #expect(manager.next() == nil)
    }

    @Test func givesDescriptorsAway() throws {
        let manager = try Manager()
        let service = service(["NOTIFY_SOCKET": manager.path])
        let open = try openDescriptors()
        #expect(service.keep([0, 1], name: "queue"))
        let message = try #require(manager.next())
        #expect(message.text == "FDSTORE=1\nFDPOLL=0\nFDNAME=queue")
        #expect(message.descriptors == 2)
        #expect(service.forget(name: "queue"))
        #expect(manager.next()?.text == "FDSTOREREMOVE=1\nFDNAME=queue")
        for _ in 0..<100 {
            #expect(!service.keep([Int32](repeating: 0, count: 33), name: "more than one message carries"))
            #expect(service.keep([0, 1], name: "queue"))
            _ = manager.next()
        }
        // Other tests open some meanwhile.
        #expect(try eventually { try openDescriptors() < open + 100 })
    }

    @Test func saysNothingToNobody() throws {
        #expect(!service([:]).tell(.ready))
        #expect(!service(["NOTIFY_SOCKET": "/nowhere/at/all"]).tell(.ready))
        #expect(!service(["NOTIFY_SOCKET": "relative"]).tell(.ready))
        #expect(!service(["NOTIFY_SOCKET": "@"]).tell(.ready))
        #expect(!service(["NOTIFY_SOCKET": "/" + String(repeating: "x", count: 200)]).tell(.ready))
    }

    @Test func neverWaits() throws {
        let manager = try Manager()
        let service = service(["NOTIFY_SOCKET": manager.path])
        var sent = 0
        // The kernel lets some ten datagrams wait at a socket that nobody reads (net.unix.max_dgram_qlen).
        while sent < 100_000, service.tell(.alive) { sent += 1 }
        #expect((1..<100_000).contains(sent))
        withExtendedLifetime(manager) {}
    }

    @Test func watchesOnlyThisProcess() {
        #expect(service(["WATCHDOG_USEC": "10000000"]).watchdog == .seconds(10))
        #expect(service(["WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "7"]).watchdog == .seconds(10))
        #expect(service(["WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "8"]).watchdog == nil)
        #expect(service(["WATCHDOG_USEC": "0"]).watchdog == nil)
        #expect(service(["WATCHDOG_USEC": "9223372036854775807"]).watchdog == nil)
        #expect(service(["WATCHDOG_USEC": "soon"]).watchdog == nil)
        #expect(service([:]).watchdog == nil)
    }

    @Test func takesWhatWasKept() {
        let kept = service(["LISTEN_PID": "7", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "table:queue"], pid: 7).kept
        #expect(kept.map(\.name) == ["table", "queue", ""])
        #expect(kept.map(\.descriptor) == [3, 4, 5])
        #expect(service(["LISTEN_PID": "8", "LISTEN_FDS": "1"]).kept.isEmpty)
        #expect(service(["LISTEN_PID": "7", "LISTEN_FDS": "-1"]).kept.isEmpty)
        #expect(service(["LISTEN_PID": "7", "LISTEN_FDS": "99999"]).kept.isEmpty)
        #expect(service(["LISTEN_FDS": "1"]).kept.isEmpty)
    }
}
