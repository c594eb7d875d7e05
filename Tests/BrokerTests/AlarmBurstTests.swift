import Model
import Testing

@testable import Broker

/// Alarms about one subject: which are told of, and what is said of the rest.
@Suite struct AlarmBurstTests {
    private let begin = Instant(nanoseconds: 1_000_000_000_000)

    @Test func theFirstIsToldAndTheRestAreCounted() {
        var bursts = AlarmBursts()
        let told = (0..<4).map { bursts.isTold("table", "change \($0)", at: begin + .seconds($0)) }
        #expect(told == [true, false, false, false])
        #expect(bursts.deadline == begin + AlarmBursts.span)
        let early = bursts.takeEnded(at: begin + .seconds(9))
        #expect(early.isEmpty)
        let ended = bursts.takeEnded(at: begin + AlarmBursts.span)
        #expect(ended.map(\.message) == ["change 3"] && ended.map(\.count) == [3])
        #expect(bursts.deadline == nil)
    }

    @Test func oneAloneIsOver() {
        var bursts = AlarmBursts()
        _ = bursts.isTold("table", "change", at: begin)
        #expect(bursts.deadline == begin + AlarmBursts.span, "it is taken away even when nothing follows")
        let ended = bursts.takeEnded(at: begin + AlarmBursts.span)
        #expect(ended.isEmpty && bursts.deadline == nil)
        // And when nobody came to take it away.
        _ = bursts.isTold("other", "change", at: begin)
        let later = bursts.isTold("other", "change", at: begin + .seconds(3600))
        #expect(later, "hours later it is another")
    }
}
