package import Model

/// Addresses that no rule opens by covering them: only by naming exactly one of them.
package enum SpecialAddresses {
    /// The metadata services of the clouds: 169.254.169.254, fd00:ec2::254 and 168.63.129.16.
    package static let metadata: [IPAddress] = [
        .v4(0xa9fe_a9fe),
        .v4(0xa83f_8110),
        .v6(0xfd00_0ec2_0000_0000_0000_0000_0000_0254),
    ]
}

extension Workload {
    /// The special addresses that no allow rule of the workload names exactly: denied whatever else covers them.
    package var deniedSpecialAddresses: [IPAddress] {
        SpecialAddresses.metadata.filter { address in !allow.contains { $0.names(exactly: address) } }
    }
}
