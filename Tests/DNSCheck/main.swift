// Reads DNS messages as one line of hexadecimal digits each and prints what they say as one line of JSON each, or why they are
// refused; with --encode the other way round. Tests/Lab/test_dns_wire.py compares this with dnspython.

let encodes = CommandLine.arguments.dropFirst().elementsEqual(["--encode"])
while let line = readLine() {
    print(encodes ? encode(line) : describe(line))
}
