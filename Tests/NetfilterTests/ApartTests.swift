import CTestCalls
import Glibc
import Model
import Ruleset
import TestSupport
import Testing

@testable import Netfilter

/// What is put in force of changes that the kernel refuses as a whole.
@Suite("Changes element by element")
struct ApartTests {
    private func element(_ number: UInt32, timeout: UInt64 = 0) -> SetElement {
        Elements.request(
            Identity(number: 16),
            Destination(address: .v4(0x0a00_0000 + number), port: 443, transport: .tcp),
            timeout: timeout,
        )
    }

    /// Sets as the kernel has them: all of a transaction or nothing.
    private struct Model {
        var sets: [String: Set<SetElement>]
        /// What may not be put in.
        var refused: Set<SetElement> = []
        /// Whether it tells which messages it refuses, as it does when nothing gets lost.
        var tells = true
        var passing: (at: Int, code: Int32)?
        var transactions = 0

        mutating func commit(_ singles: [ElementChange]) throws(NetfilterError) -> [Int: Int32] {
            transactions += 1
            if let passing, passing.at == transactions { throw NetfilterError(code: passing.code, operation: "model") }
            var (next, codes) = (sets, [Int: Int32]())
            for (place, single) in singles.enumerated() {
                #expect(single.remove.count + single.add.count == 1)
                if let gone = single.remove.first, next[single.set]?.remove(gone) == nil {
                    codes[place] = NetfilterError.notFound
                }
                guard let added = single.add.first else { continue }
                if next[single.set] == nil { codes[place] = NetfilterError.notFound }
                if refused.contains(added) || next[single.set]?.contains(added) == true {
                    codes[place] = NetfilterError.exists
                }
                next[single.set]?.insert(added)
            }
            guard let first = codes.min(by: { $0.key < $1.key }) else {
                sets = next
                return [:]
            }
            guard tells else { throw NetfilterError(code: first.value, operation: "model") }
            return codes
        }
    }

    private func apart(_ changes: [ElementChange], _ model: inout Model) throws(NetfilterError) -> [RefusedElement] {
        try Table.apart(changes) { singles throws(NetfilterError) in try model.commit(singles) }
    }

    @Test("one that is gone keeps no other in force, whether the kernel tells which or not", arguments: [true, false])
    func leavesOutWhatIsGone(tells: Bool) throws {
        let (kept, narrowed) = ([element(1), element(2), element(3)], [element(4), element(5)])
        var model = Model(sets: ["pins4": Set(kept), "hosts4": [element(9)]], tells: tells)
        let refused = try apart(
            [
                ElementChange(set: "hosts4", remove: [element(9)]),
                ElementChange(set: "pins4", remove: [element(1), element(7), element(3)]),
                ElementChange(set: "pins4", add: narrowed),
            ],
            &model,
        )
        #expect(refused == [RefusedElement(set: "pins4", isRemoval: true, code: NetfilterError.notFound)])
        #expect(refused.map(\.isGone) == [true])
        #expect(model.sets == ["pins4": Set([element(2)] + narrowed), "hosts4": []])
    }

    @Test("what may not be put in is told, and nothing else of its change stays out", arguments: [true, false])
    func tellsOfWhatIsRefused(tells: Bool) throws {
        var model = Model(sets: ["pins4": [element(1)]], refused: [element(3)], tells: tells)
        let refused = try apart(
            [ElementChange(set: "pins4", remove: [element(1)], add: [element(2), element(3), element(4)])],
            &model,
        )
        #expect(refused == [RefusedElement(set: "pins4", isRemoval: false, code: NetfilterError.exists)])
        #expect(refused.map(\.isGone) == [false])
        #expect(model.sets == ["pins4": [element(2), element(4)]])
    }

    @Test("an element is taken out before it is put in again", arguments: [true, false])
    func keepsTheOrder(tells: Bool) throws {
        var model = Model(sets: ["pins4": [element(1), element(2)]], tells: tells)
        let both = ElementChange(set: "pins4", remove: [element(8), element(1), element(2)], add: [element(2)])
        #expect(try apart([both], &model).count == 1)
        #expect(model.sets == ["pins4": [element(2)]])
    }

    @Test("what the kernel could not do just now is thrown", arguments: [true, false])
    func throwsWhatPasses(tells: Bool) throws {
        var model = Model(sets: ["pins4": [element(1)]], tells: tells, passing: (2, NetfilterError.noMemory))
        let change = ElementChange(set: "pins4", remove: [element(1), element(7)])
        #expect(throws: NetfilterError(code: NetfilterError.noMemory, operation: "model")) {
            try apart([change], &model)
        }
        // It is asked for again as it was.
        #expect(try apart([change], &model).map(\.isGone) == [true])
        #expect(model.sets == ["pins4": []])
    }

    @Test("a hundred thousand take few transactions, although a thousand of them are gone")
    func isFast() throws {
        let all = (0..<100_000).map { element(UInt32($0)) }
        var model = Model(sets: ["pins4": Set(all.enumerated().filter { $0.offset % 100 != 0 }.map(\.element))])
        #expect(try apart([ElementChange(set: "pins4", remove: all)], &model).count == 1000)
        #expect(model.sets == ["pins4": []])
        #expect(model.transactions == 2)
    }

    /// In a network namespace of its own.
    @Test("the kernel does it", .enabled(if: getuid() == 0, "needs root"))
    func inTheKernel() throws {
        try onThread {
            try #require(tst_own_network() == 0)
            let table = try Table(owns: false)
            let all = (0..<100_000).map { element(UInt32($0), timeout: 3_600_000) }
            let passing = element(200_000, timeout: 1)
            try table.install(
                Layout(firstQueue: 100, observesOnly: false),
                elements: [ElementChange(set: "pins4", add: [passing] + all)],
            )
            usleep(20_000)
            let removal = ElementChange(set: "pins4", remove: all + [passing])
            let addition = ElementChange(set: "pins4", add: [element(300_000, timeout: 3_600_000)])
            let nowhere = ElementChange(set: "no-such-set", add: [element(1)])
            #expect(throws: NetfilterError.self) { try table.replace([], [removal, addition]) }
            let begin = ContinuousClock.now
            let refused = try table.replaceApart(["answers4", "nor-this"], [removal, addition, nowhere])
            #expect(ContinuousClock.now - begin < .seconds(20))
            #expect(refused.filter { !$0.isGone } == [RefusedElement(set: "no-such-set", isRemoval: false, code: 2)])
            #expect(Set(refused.filter(\.isGone).map(\.set)) == ["pins4", "nor-this"])
            #expect(refused.count == 3)
            #expect(try table.counts(of: "pins4").count == 1)
            // More than the kernel's answers find room for.
            #expect(try table.replaceApart([], [removal]).count == 100_001)
            #expect(try table.counts(of: "pins4").count == 1)
        }
    }
}
