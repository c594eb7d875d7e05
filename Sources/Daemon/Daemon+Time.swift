internal import Broker
internal import Model
internal import System

extension Daemon {
    /// Has the broker look at the clock when something is due, and soon after anything happened.
    func scheduleTick() {
        if let prompt = broker.promptDeadline, !isPrompt {
            isPrompt = true
            loop.schedule(at: prompt) { [unowned self] in
                isPrompt = false
                perform(broker.letGo(at: Clock.now()))
            }
        }
        let soon = Clock.now() + .milliseconds(250)
        if let timer, timer.deadline <= soon { return }
        setTimer(soon)
    }

    private func setTimer(_ deadline: Instant) {
        if let timer { loop.cancel(timer.token) }
        let token = loop.schedule(at: deadline) { [unowned self] in
            timer = nil
            let now = Clock.now()
            broker.setClock(wall: Clock.wall(), at: now)
            perform(broker.tick(at: now))
            watchResources(at: now)
            clearAhead()
            if let due = earlySweep, due <= now { sweepAll(at: now) }
            // While the record cannot be written somebody waits to hear that it can.
            let look = isRecordInTrouble ? now + .seconds(1) : nil
            // What was performed here asked for a look soon: where nothing is due that would be one after the other for ever.
            let next = [broker.nextDeadline, look, earlySweep].compactMap(\.self).min() ?? now + .seconds(1)
            setTimer(max(next, now + .milliseconds(1)))
        }
        timer = (token, deadline)
    }

    func scheduleSweep() {
        _ = loop.schedule(after: .seconds(10)) { [unowned self] in
            let now = Clock.now()
            watchResources(at: now)
            sweepAll(at: now)
            scheduleSweep()
        }
    }

    func scheduleGrantSaving() {
        _ = loop.schedule(after: .seconds(30)) { [unowned self] in
            saveGrantTimes()
            scheduleGrantSaving()
        }
    }
}
