extension HostFacts {
    /// What remains when everything else is enforced; the same on every host.
    var residualChecks: [Check] {
        [
            Check(
                "residual.destinations",
                "an allowed destination as a tunnel",
                .residual,
                "what goes to an allowed place inside its protocol is not read",
                consequence: "a repository, a package index or a bucket takes in what is uploaded to it",
                mend: "allow few destinations, read-only mirrors where possible, and watch their volume",
                bypass: 35,
            ),
            Check(
                "residual.first-flight",
                "after the first flight",
                .residual,
                "a connection is judged once, by its first bytes",
                consequence: "a server that is in league with the workload may change to anything afterwards",
                mend: "rules by name with a 'protocol', for servers that you trust",
                bypass: 2,
            ),
            Check(
                "residual.names",
                "names below an allowed wildcard",
                .residual,
                "as many as 'dns: {budget}' allows within an hour",
                consequence: "each name carries some bytes to whoever serves the domain",
                mend: "no wildcard for domains in which others can have names",
                bypass: 9,
            ),
            Check(
                "residual.root",
                "root and the kernel",
                .residual,
                "who is root on this host, or finds a hole in its kernel, can end egressd",
                consequence: "nothing on the host itself holds against its owner",
                mend: "workloads without root; a second wall in the network",
            ),
        ]
    }
}
