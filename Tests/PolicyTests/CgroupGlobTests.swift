import Model
import Policy
import Testing

struct CgroupGlobTests {
    @Test(arguments: [
        ("a.slice", "/a.slice", true),
        ("a.slice", "a.slice", true),
        ("/a.slice", "/a.slice", true),
        ("a.slice", "/a.slice/b", false),
        ("a.slice", "/", false),
        ("*", "/", false),
        ("**", "/", false),
        ("**", "/a/b/c", true),
        ("*", "/a/b", false),
        ("training.slice/llm@*.service", "/training.slice/llm@1.service", true),
        ("training.slice/llm@*.service", "/training.slice/llm@.service", true),
        ("training.slice/llm@*.service", "/training.slice/llm@1.service/x", false),
        ("training.slice/llm@*.service", "/training.slice/llm@1/x.service", false),
        ("a/**", "/a", false),
        ("a/**", "/a/b/c", true),
        ("a/**/c", "/a/c", true),
        ("a/**/c", "/a/b/b/c", true),
        ("a/**/c", "/a/b/b/d", false),
        ("**/c", "/c", true),
        ("a*b*c", "/aXbYbc", true),
        ("a*b*c", "/acb", false),
        ("*a", "/aab", false),
        ("x\\x2dy.slice", "/x\\x2dy.slice", true),
        ("a.slice", "//a.slice", false),
        ("a/*", "/a/", false),
    ])
    func matches(_ glob: String, _ path: String, _ expected: Bool) throws {
        #expect(try CgroupGlob(glob).matches(path) == expected)
    }

    @Test(arguments: [
        "", "/", "//", "a//b", "a/", "a**", "**a", "***", "a/**/**", "a/./b", "..", "a?", "[a]", "{a,b}", "a\nb",
        "a\0b", "caf\u{e9}",
    ])
    func refused(_ text: String) { #expect(throws: (any Error).self) { try CgroupGlob(text) } }

    /// The kernel's rules look down to eight levels: what lies deeper for certain could never be enforced.
    @Test(arguments: [
        ("1/2/3/4/5/6/7/8", nil), ("/1/2/3/4/5/6/7/8", nil), ("1/2/3/4/5/6/7/**", nil), ("**/1/**/2/3/4/5/6/7/8", nil),
        ("**/1/**/2/**/3/**/4/**/5/**/6/**/7/**", nil), ("1/2/3/4/5/6/7/8/9", 9), ("1/2/3/4/5/6/7/8/**", 9),
        ("/**/1/2/3/4/5/6/7/8/9", 9), ("**/1/2/3/4/5/6/7/*/*/**", 10),
    ])
    func depth(_ text: String, _ refused: Int?) throws {
        guard let refused else {
            #expect(try CgroupGlob(text).text.isEmpty == false)
            return
        }
        let error = #expect(throws: TextError.self) { try CgroupGlob(text) }
        #expect(error?.description.contains("lies \(refused) deep; the kernel tells cgroups apart down to 8") == true)
    }

    @Test(arguments: [
        ("/", "/"), ("", ""), ("/1", "/1"), ("1/2", "1/2"), ("/1/2/3/4/5/6/7/8", "/1/2/3/4/5/6/7/8"),
        ("1/2/3/4/5/6/7/8", "1/2/3/4/5/6/7/8"), ("/1/2/3/4/5/6/7/8/9", "/1/2/3/4/5/6/7/8"),
        ("1/2/3/4/5/6/7/8/9/10", "1/2/3/4/5/6/7/8"),
        // A mark that a letter takes belongs to no slash.
        ("/1/2/3/4/5/6/7/8/\u{301}9", "/1/2/3/4/5/6/7/8"),
    ])
    func whatTheRulesTakeACgroupFor(_ path: String, _ known: String) {
        #expect(CgroupDepth.known(path) == known)
    }

    /// Brute force: two globs overlap exactly if one of all short paths over a small alphabet matches both, and the path
    /// that is shown for it does.
    @Test func overlapsAgreesWithTryingEveryPath() throws {
        let globs = try Self.globs().map { try CgroupGlob($0) }
        let paths = Self.paths()
        let matched = globs.map { glob in Set(paths.indices.filter { glob.matches(paths[$0]) }) }
        for (i, left) in globs.enumerated() {
            for (j, right) in globs.enumerated() {
                let common = left.commonPath(with: right)
                #expect((common != nil) == !matched[i].isDisjoint(with: matched[j]), "\(left) and \(right)")
                if let common {
                    #expect(left.matches(common) && right.matches(common), "\(left) and \(right) at \(common)")
                }
            }
        }
    }

    /// Every component of up to two of `a`, `b` and single stars, and every glob of up to three of some of these.
    private static func globs() -> [String] {
        let components = ["a", "b", "ab", "*", "a*", "*b", "*a*", "a*b", "**"]
        var globs = components
        for first in components {
            for second in components where !(first == "**" && second == "**") {
                globs.append("\(first)/\(second)")
                for third in ["*b", "**"] where ["a", "*", "**"].contains(first) && !(second == "**" && third == "**") {
                    globs.append("\(first)/\(second)/\(third)")
                }
            }
        }
        return globs
    }

    /// Every path of up to four components of `a`, `b`, `ab`, `ba` and `x`: longer ones tell no more of these globs apart.
    private static func paths() -> [String] {
        let components = ["a", "b", "ab", "ba", "x"]
        var (paths, last) = (components, components)
        for _ in 1..<4 {
            last = last.flatMap { path in components.map { "\(path)/\($0)" } }
            paths += last
        }
        return paths
    }
}
