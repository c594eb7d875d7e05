// Reads inputs on standard input, each behind its length of 32 bits in network byte order, and prints what a reader says of each
// as one line of JSON. The first argument names the reader. The tests of Tests/Lab compare this with other programs.

import Glibc
import Model

let readers: [String: ([UInt8]) -> JSON] = [
    "application": describeApplication,
    "hpack": describeHPACK,
    "http": describeHTTP,
    "quic": describeQUIC,
    "ssh": describeSSH,
    "tls": describeTLS,
]

guard CommandLine.arguments.count == 2, let describe = readers[CommandLine.arguments[1]] else {
    print("usage: wirecheck \(readers.keys.sorted().joined(separator: "|"))")
    exit(2)
}
while let input = nextInput() {
    print(describe(input))
}
