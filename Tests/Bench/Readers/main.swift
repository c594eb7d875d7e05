// How long the readers of first flights take, and how often they allocate: build with `-c release`. The first argument, if there
// is one, names the reader. Each line is a JSON object: reader, input, its bytes, nanoseconds and allocations for each read.

import Model

let readers: [(name: String, measure: () -> [Row])] = [
    ("tls", measureTLS), ("quic", measureQUIC),
]

for reader in readers where CommandLine.arguments.count < 2 || CommandLine.arguments[1] == reader.name {
    for row in reader.measure() { print(row.json) }
}
