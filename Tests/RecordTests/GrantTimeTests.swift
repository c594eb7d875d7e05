import Model
import Testing

@testable import Record

/// Whatever was done to the date: a grant lasts at most as long as it was given for.
@Suite struct GrantTimeTests {
    private static let hour: Int64 = 3600
    private static let year: Int64 = 366 * 86_400

    /// Granted for an hour at 1000 s on the date and 500 s after boot; saved at once.
    private func row(saved: Int64 = 1000) -> GrantRow {
        var row = GrantRow(
            workload: "w",
            target: .address(.allV4, port: nil, .tcp),
            granted: WallTime(microseconds: 0),
            duration: .seconds(Self.hour),
            reason: "",
            actor: "root",
        )
        row.saved = WallTime(microseconds: saved * 1_000_000)
        return row
    }

    private func moment(_ wall: Int64, _ steady: Int64) -> Moment {
        Moment(wall: WallTime(microseconds: wall * 1_000_000), steady: Instant(nanoseconds: steady * 1_000_000_000))
    }

    @Test(arguments: [
        // The same boot: as much as both clocks say.
        (1000, 500, 3600), (1600, 1100, 3000), (4600, 4100, 0), (9999, 9499, 0),
        // The date was set back by any span: what passed since boot counts.
        (1000 - year, 1100, 3000), (999, 1100, 3000), (1000, 4100, 0), (1000 - year, 4101, 0),
        // Forward: it ends early.
        (1000 + year, 510, 0), (2000, 510, 2600),
        // After another boot only the date tells; one that lies before the last is worth nothing.
        (1600, 20, 3000), (1000, 20, 3600), (999, 20, 0), (1000 - year, 20, 0), (1000 + year, 20, 0),
    ])
    func isWhatIsLeft(wall: Int64, steady: Int64, left: Int64) {
        #expect(row().remaining(at: moment(wall, steady), since: moment(1000, 500)) == .seconds(left))
    }

    @Test func countsWhatPassedBeforeTheLastMoment() {
        // Saved at 1000, the last moment at 1300: five minutes had passed then.
        #expect(row().remaining(at: moment(0, 600), since: moment(1300, 500)) == .seconds(3600 - 300 - 100))
        // Granted after the last moment: it may lose that little.
        #expect(row(saved: 1010).remaining(at: moment(0, 600), since: moment(1000, 500)) == .seconds(3500))
        #expect(row().remaining(at: moment(1600, 700), since: nil) == .seconds(3000))
    }

    @Test func nothingOverflows() {
        let ends: [Int64] = [.min, -1, 0, 1, .max]
        for wall in ends {
            for saved in ends {
                for last in ends {
                    var row = row()
                    row.saved = WallTime(microseconds: saved)
                    let now = Moment(wall: WallTime(microseconds: wall), steady: Instant(nanoseconds: .max))
                    let then = Moment(wall: WallTime(microseconds: last), steady: Instant(nanoseconds: 0))
                    let left = row.remaining(at: now, since: then)
                    #expect(left >= .seconds(0) && left <= row.duration)
                    _ = now.drift(since: then)
                }
            }
        }
    }

    @Test func driftIsWhatTheDateWasSetBy() {
        #expect(moment(1100, 600).drift(since: moment(1000, 500)) == .seconds(0))
        #expect(moment(1000 + Self.year, 600).drift(since: moment(1000, 500)) == .seconds(Self.year - 100))
        #expect(moment(900, 600).drift(since: moment(1000, 500)) == .seconds(-200))
        #expect(moment(900, 400).drift(since: moment(1000, 500)) == nil)
    }

    @Test(arguments: ["", "1", "1 2 3", "x 1", "1 -1", "99999999999999999999 1"])
    func readsNoOtherMoment(text: String) { #expect(Moment(text: text) == nil) }

    @Test func isKeptAsText() { #expect(Moment(text: moment(-5, 7).text) == moment(-5, 7)) }
}
