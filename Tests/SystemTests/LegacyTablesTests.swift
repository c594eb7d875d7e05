import System
import Testing

@Suite struct LegacyTablesTests {
    @Test func tablesAreNamedWithTheirTool() throws {
        let folder = try WatchedFolder()
        #expect(LegacyTables.names(root: folder.path) == [])
        try folder.write("ip_tables_names", "nat\nfilter\n")
        try folder.write("ip6_tables_names", "raw\n")
        #expect(LegacyTables.names(root: folder.path) == ["iptables nat", "iptables filter", "ip6tables raw"])
    }
}
