import Glibc
import System
import Testing

/// Whether a loop would be told of a change, too: `drain` alone would notice most by looking at the file.
private func tells(_ watch: FileWatch) -> Bool {
    var state = pollfd(fd: watch.descriptor, events: Int16(POLLIN), revents: 0)
    let isReadable = unsafe poll(&state, 1, 0) == 1
    return watch.drain() && isReadable
}

@Suite struct FileWatchTests {
    @Test func aFileThatIsWrittenUnderAnotherNameIsTold() throws {
        let folder = try WatchedFolder()
        folder.make("etc")
        folder.make("run")
        folder.make("run/a")
        try folder.write("run/a/stub", "one")
        #expect(unsafe Glibc.link(folder.file("run/a/stub"), folder.file("etc/resolv.conf")) == 0)
        let watch = try FileWatch(folder.file("etc/resolv.conf"))
        try folder.write("run/a/stub", "two")
        #expect(tells(watch))
        #expect(!watch.drain())
    }

    @Test func aFileThatIsWrittenIsTold() throws {
        let folder = try WatchedFolder()
        folder.make("etc")
        try folder.write("etc/resolv.conf", "one")
        let watch = try FileWatch(folder.file("etc/resolv.conf"))
        #expect(!watch.drain())
        try folder.write("etc/resolv.conf", "two")
        #expect(tells(watch))
        #expect(!watch.drain())
    }

    @Test func aFileThatIsReplacedIsToldAgainAndAgain() throws {
        let folder = try WatchedFolder()
        folder.make("etc")
        try folder.write("etc/resolv.conf", "one")
        let watch = try FileWatch(folder.file("etc/resolv.conf"))
        for index in 0..<5 {
            try folder.write("etc/next", "\(index)")
            #expect(!watch.drain())
            folder.move("etc/next", to: "etc/resolv.conf")
            #expect(tells(watch))
            #expect(!watch.drain())
            try folder.write("etc/resolv.conf", "again")
            #expect(tells(watch))
        }
    }

    @Test func neighboursAreNotTold() throws {
        let folder = try WatchedFolder()
        folder.make("etc")
        try folder.write("etc/resolv.conf", "one")
        let watch = try FileWatch(folder.file("etc/resolv.conf"))
        try folder.write("etc/other", "two")
        folder.remove("etc/other")
        folder.make("run")
        #expect(!watch.drain())
    }

    @Test func aFileComesAndGoes() throws {
        let folder = try WatchedFolder()
        let watch = try FileWatch(folder.file("etc/resolv.conf"))
        #expect(!watch.drain())
        folder.make("etc")
        #expect(tells(watch))
        try folder.write("etc/resolv.conf", "one")
        #expect(tells(watch))
        folder.remove("etc/resolv.conf")
        #expect(tells(watch))
        #expect(!watch.drain())
        #expect(removeFolder(folder.file("etc")))
        #expect(tells(watch))
        folder.make("etc")
        try folder.write("etc/resolv.conf", "two")
        #expect(tells(watch))
        try folder.write("etc/resolv.conf", "three")
        #expect(tells(watch))
    }

    @Test func theTargetOfALinkIsWatchedToo() throws {
        let folder = try WatchedFolder()
        for name in ["etc", "run", "run/a"] { folder.make(name) }
        try folder.write("run/a/stub", "one")
        folder.link("etc/resolv.conf", to: "../run/a/stub")
        let watch = try FileWatch(folder.file("etc/resolv.conf"))
        #expect(!watch.drain())
        try folder.write("run/a/stub", "two")
        #expect(tells(watch))
        try folder.write("run/a/next", "three")
        #expect(!watch.drain())
        folder.move("run/a/next", to: "run/a/stub")
        #expect(tells(watch))
        try folder.write("run/a/stub", "four")
        #expect(tells(watch))
    }

    @Test func aLinkMayLeadNowhereYet() throws {
        let folder = try WatchedFolder()
        folder.make("etc")
        folder.link("etc/resolv.conf", to: folder.file("run/a/stub"))
        let watch = try FileWatch(folder.file("etc/resolv.conf"))
        #expect(!watch.drain())
        folder.make("run")
        #expect(tells(watch))
        folder.make("run/a")
        #expect(tells(watch))
        try folder.write("run/a/stub", "one")
        #expect(tells(watch))
        try folder.write("run/a/stub", "two")
        #expect(tells(watch))
    }

    @Test func aLinkMayBeTurned() throws {
        let folder = try WatchedFolder()
        for name in ["etc", "run", "run/a", "run/b"] { folder.make(name) }
        try folder.write("run/a/stub", "one")
        try folder.write("run/b/stub", "one")
        folder.link("etc/resolv.conf", to: "../run/a/stub")
        let watch = try FileWatch(folder.file("etc/resolv.conf"))
        folder.link("etc/link", to: "../run/b/stub")
        folder.move("etc/link", to: "etc/resolv.conf")
        #expect(tells(watch))
        #expect(!watch.drain())
        try folder.write("run/a/stub", "of no concern")
        #expect(!watch.drain())
        try folder.write("run/b/stub", "two")
        #expect(tells(watch))
    }

    @Test func aDirectoryOnTheWayMayBeReplaced() throws {
        let folder = try WatchedFolder()
        for name in ["etc", "run", "run/a"] { folder.make(name) }
        try folder.write("etc/resolv.conf", "one")
        try folder.write("run/a/stub", "two")
        let watch = try FileWatch(folder.file("etc/resolv.conf"))
        folder.remove("etc/resolv.conf")
        #expect(tells(watch))
        folder.move("etc", to: "old")
        #expect(tells(watch))
        folder.link("etc", to: "run/a")
        #expect(tells(watch))
        folder.link("run/a/resolv.conf", to: "./stub")
        defer { folder.remove("run/a/resolv.conf") }
        #expect(tells(watch))
        try folder.write("run/a/stub", "three")
        #expect(tells(watch))
    }

    @Test func linksInACircleEnd() throws {
        let folder = try WatchedFolder()
        folder.make("etc")
        folder.link("etc/resolv.conf", to: "link")
        folder.link("etc/link", to: "resolv.conf")
        let watch = try FileWatch(folder.file("etc/resolv.conf"))
        #expect(!watch.drain())
        folder.remove("etc/link")
        #expect(tells(watch))
        try folder.write("etc/link", "one")
        #expect(tells(watch))
    }

    @Test func manyEventsAtOnceAreOneChange() throws {
        let folder = try WatchedFolder()
        folder.make("etc")
        let watch = try FileWatch(folder.file("etc/resolv.conf"))
        for index in 0..<3000 {
            try folder.write("etc/next", "\(index)")
            folder.move("etc/next", to: "etc/resolv.conf")
        }
        #expect(tells(watch))
        #expect(!watch.drain())
    }

    @Test func strangePathsAreErrorsOrNothing() throws {
        for path in ["", "etc/resolv.conf", "/etc/\0resolv.conf"] {
            #expect(throws: Errno.invalidArgument) { try FileWatch(path) }
        }
        #expect(try !FileWatch("/").drain())
        #expect(try !FileWatch("/../..//./proc/self/nothing/here").drain())
        let long = "/" + String(repeating: "x", count: 300)
        #expect(try !FileWatch(long).drain())
    }

    @Test func aLoopIsTold() throws {
        let folder = try WatchedFolder()
        folder.make("etc")
        let loop = try EventLoop()
        let watch = try FileWatch(folder.file("etc/resolv.conf"))
        var changes = 0
        let registration = try loop.add(watch.descriptor, .read) { _ in if watch.drain() { changes += 1 } }
        try loop.runOnce(wait: false)
        #expect(changes == 0)
        try folder.write("etc/resolv.conf", "one")
        try loop.runOnce()
        try loop.runOnce(wait: false)
        #expect(changes == 1)
        loop.remove(registration)
    }

    @Test func nothingStaysOpen() throws {
        let folder = try WatchedFolder()
        try useEverything(folder)
        let before = try openDescriptors()
        // The kernel frees an inotify instance late, and a user may have 128: tests beside this one want some.
        for _ in 0..<60 {
            try useEverything(folder)
            usleep(10_000)
        }
        #expect(try eventually { try openDescriptors() < before + 50 })
    }

    private func useEverything(_ folder: WatchedFolder) throws {
        let watch = try FileWatch(folder.file("etc/resolv.conf"))
        _ = watch.drain()
    }
}
