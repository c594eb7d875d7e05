internal import Broker
internal import Model
internal import Policy
internal import PolicyFiles
internal import Record
internal import Ruleset
internal import System

extension Daemon {
    /// Says once when the record cannot be written, and once when it can again; nothing is lost as long as memory lasts.
    ///
    /// A record that took the place of a damaged one is given what is in force.
    func watchRecord() {
        let health = store.health
        let problem = health.lastError.map { "\($0)" }
        switch (resources.recordProblem, problem) {
        case (nil, let problem?):
            resources.recordProblem = (problem, Clock.wall())
            Log.error("the record in \(configuration.state) cannot be written: \(problem); events wait in memory")
            scheduleTick()
        case (let (text, since)?, nil):
            resources.recordProblem = nil
            alarm("the record is written again; since \(since) its events waited in memory: \(text)")
        default: break
        }
        guard problem == nil else { return }
        // What could not be stored at once was queued, and nothing queued has failed.
        warnings["grants"] = nil
        let isNew = health.replacements > resources.replacements
        guard isNew || warnings["numbers"] != nil else { return }
        do throws(StoreError) {
            try storeState()
            if isNew, let replacement = health.lastReplacement { Log.error(replacement) }
            resources.replacements = health.replacements
            warnings["numbers"] = nil
        } catch {
            warnings["numbers"] = "what is in force is not stored: \(error)"
        }
    }

    /// Whether something is still to be stored, or to be said of the record.
    var isRecordInTrouble: Bool {
        resources.recordProblem != nil || warnings["grants"] != nil || warnings["numbers"] != nil
    }

    /// Stores what is in force and a restart needs: numbers, grants, requests and pins.
    private func storeState() throws(StoreError) {
        let numbers = broker.assignments.mapValues { (number: $0.identity.number, generation: $0.generation) }
        let former = try store.workloadNumbers().keys.filter { numbers[$0] == nil }
        try store.saveWorkloadNumbers(numbers, deleting: Array(former))
        let stored = Set(try store.grants(state: .active).map(\.id))
        let now = Moment(wall: Clock.wall(), steady: Clock.now())
        for grant in broker.grants.values where grant.state == .active && !stored.contains(grant.id) {
            var row = Self.row(grant)
            (row.remaining, row.saved) = (grant.expiry - now.steady, now.wall)
            _ = try store.insertGrant(row)
        }
        saveGrantTimes()
        store.upsertRequests(broker.requestSummaries.map(Self.row))
        save(broker.storedPins(at: Clock.now()), dropped: [])
    }
}
