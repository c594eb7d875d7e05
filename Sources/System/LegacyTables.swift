/// The tables of x_tables in the kernel of this network namespace (iptables-legacy): no notification tells of them.
package enum LegacyTables {
    /// Their names, `iptables nat` and `ip6tables filter`; none where the kernel has no x_tables.
    package static func names(root: String = "/proc/net") -> Set<String> {
        var names: Set<String> = []
        for (tool, file) in [("iptables", "ip_tables_names"), ("ip6tables", "ip6_tables_names")] {
            let text = (try? SmallFile.read("\(root)/\(file)", limit: 4096)) ?? ""
            for line in text.split(separator: "\n") { names.insert("\(tool) \(line)") }
        }
        return names
    }
}
