/// Who may begin and who waits, where a bounded number of operations goes on at the same time. Pure: time comes from
/// outside.
///
/// A place (a domain) holds as many slots as it leaves free, an app its own bound. A place or app that keeps slots for
/// long and gives no answer is silent: it gets one slot at a time, and all silent places together a quarter of all,
/// until it answers. Places take turns, in a place its apps, in an app who came first is first.
struct SlotBook: Sendable {
    typealias Ticket = UInt64
    typealias Instant = ContinuousClock.Instant

    enum Answer: Sendable, Equatable { case begin, wait, full }

    /// Whether somebody answers.
    private struct Voice: Sendable {
        private(set) var isSilent = false
        private var lastAnswer: Instant?

        mutating func answered(_ now: Instant) {
            isSilent = false
            lastAnswer = now
        }

        /// One slow operation, while others of the same time were answered, says nothing.
        mutating func gaveNoAnswer(since began: Instant) {
            guard lastAnswer.map({ $0 <= began }) ?? true else { return }
            isSilent = true
        }
    }

    private struct App: Sendable {
        var held = 0
        var voice = Voice()
        var line = FIFO<Ticket>()
        /// Of those in the line, who have not gone away.
        var waiting = 0
        /// It stands among its place's turns.
        var hasTurn = false

        var isIdle: Bool { held == 0 && waiting == 0 && !hasTurn }

        mutating func join(_ ticket: Ticket) {
            line.append(ticket)
            waiting += 1
        }

        /// - Returns: false when it has one.
        mutating func takeTurn() -> Bool {
            defer { hasTurn = true }
            return !hasTurn
        }
    }

    private struct Place: Sendable {
        var voice = Voice()
        var apps: [String: App] = [:]
        /// Apps with waiting callers, in turn; an app whose callers have all left stays until its turn comes.
        var turns = FIFO<String>()
        var waiting = 0
        var hasTurn = false
    }

    private let rules: ConcurrencyLimit.Rules
    private var slots: FairShares<String>
    private var heldBySilent = 0
    private var places: [String: Place] = [:]
    private var turns = FIFO<String>()
    private var waiting: [Ticket: ConcurrencyLimit.Caller] = [:]

    /// What is remembered before silent ones without an operation are forgotten.
    private static let most = 4_096

    init(_ rules: ConcurrencyLimit.Rules) {
        self.rules = rules
        slots = FairShares(total: rules.total)
    }

    var waitingCount: Int { waiting.count }

    /// - Parameter ticket: never used before.
    mutating func ask(_ ticket: Ticket, _ caller: ConcurrencyLimit.Caller) -> Answer {
        if mayBegin(caller.place), mayBegin(caller) {
            begin(caller)
            return .begin
        }
        guard waiting.count < rules.maxWaiting else { return .full }
        waiting[ticket] = caller
        var place = places.removeValue(forKey: caller.place) ?? Place()
        place.apps[caller.app, default: App()].join(ticket)
        if place.apps[caller.app]?.takeTurn() == true { place.turns.append(caller.app) }
        place.waiting += 1
        if !place.hasTurn {
            place.hasTurn = true
            turns.append(caller.place)
        }
        places[caller.place] = place
        return .wait
    }

    /// It does not wait any more.
    /// - Returns: false when it may begin already.
    mutating func leave(_ ticket: Ticket) -> Bool {
        guard let caller = waiting.removeValue(forKey: ticket) else { return false }
        places[caller.place]?.waiting -= 1
        places[caller.place]?.apps[caller.app]?.waiting -= 1
        // Who went away is taken out of the line before they are the most of it.
        if let app = places[caller.place]?.apps[caller.app], app.line.count > 16 + 2 * app.waiting {
            places[caller.place]?.apps[caller.app]?.line.keep { waiting[$0] != nil }
        }
        return true
    }

    /// An operation is over.
    /// - Parameter succeeded: there was an answer. A failure is silence when it took long.
    /// - Returns: who begins now.
    mutating func end(
        _ caller: ConcurrencyLimit.Caller, began: Instant, _ now: Instant, succeeded: Bool
    ) -> [Ticket] {
        slots.giveBack(caller.place)
        if places[caller.place]?.voice.isSilent == true { heldBySilent -= 1 }
        places[caller.place]?.apps[caller.app]?.held -= 1
        let wasSilent = places[caller.place]?.voice.isSilent ?? false
        if succeeded {
            places[caller.place]?.voice.answered(now)
            places[caller.place]?.apps[caller.app]?.voice.answered(now)
        } else if began.duration(to: now) >= rules.silence {
            places[caller.place]?.voice.gaveNoAnswer(since: began)
            places[caller.place]?.apps[caller.app]?.voice.gaveNoAnswer(since: began)
        }
        let isSilent = places[caller.place]?.voice.isSilent ?? false
        if isSilent != wasSilent { heldBySilent += slots.held(by: caller.place) * (isSilent ? 1 : -1) }
        forget(caller)
        var next: [Ticket] = []
        while let ticket = takeNext() { next.append(ticket) }
        return next
    }

    // MARK: Who may

    private func mayBegin(_ name: String) -> Bool {
        guard slots.mayTake(name) else { return false }
        guard places[name]?.voice.isSilent == true else { return true }
        return slots.held(by: name) == 0 && heldBySilent < max(1, rules.total / 4)
    }

    private func mayBegin(_ caller: ConcurrencyLimit.Caller) -> Bool {
        guard let app = places[caller.place]?.apps[caller.app] else { return true }
        return app.held < (app.voice.isSilent ? 1 : rules.perApp)
    }

    private mutating func begin(_ caller: ConcurrencyLimit.Caller) {
        slots.take(caller.place)
        if places[caller.place]?.voice.isSilent == true { heldBySilent += 1 }
        places[caller.place, default: Place()].apps[caller.app, default: App()].held += 1
    }

    // MARK: Who is next

    private mutating func takeNext() -> Ticket? {
        guard slots.free > 0 else { return nil }
        for _ in 0..<turns.count {
            guard let name = turns.popFirst() else { return nil }
            guard (places[name]?.waiting ?? 0) > 0 else {
                places[name]?.hasTurn = false
                continue
            }
            let ticket = mayBegin(name) ? takeNext(at: name) : nil
            turns.append(name)
            if let ticket { return ticket }
        }
        return nil
    }

    private mutating func takeNext(at name: String) -> Ticket? {
        guard let count = places[name]?.turns.count else { return nil }
        for _ in 0..<count {
            guard let app = places[name]?.turns.popFirst() else { return nil }
            let caller = ConcurrencyLimit.Caller(place: name, app: app)
            guard (places[name]?.apps[app]?.waiting ?? 0) > 0 else {
                places[name]?.apps[app]?.hasTurn = false
                forget(caller)
                continue
            }
            places[name]?.turns.append(app)
            guard mayBegin(caller), let ticket = popFirst(of: caller) else { continue }
            begin(caller)
            return ticket
        }
        return nil
    }

    private mutating func popFirst(of caller: ConcurrencyLimit.Caller) -> Ticket? {
        while let ticket = places[caller.place]?.apps[caller.app]?.line.popFirst() {
            // Else it went away.
            guard waiting.removeValue(forKey: ticket) != nil else { continue }
            places[caller.place]?.waiting -= 1
            places[caller.place]?.apps[caller.app]?.waiting -= 1
            return ticket
        }
        return nil
    }

    // MARK: Forgetting

    /// Forgets who holds nothing, waits for nothing and answers; of too many also who does not answer.
    private mutating func forget(_ caller: ConcurrencyLimit.Caller) {
        guard let app = places[caller.place]?.apps[caller.app], app.isIdle else { return }
        let isCrowded = (places[caller.place]?.apps.count ?? 0) > Self.most
        if isCrowded || !app.voice.isSilent { places[caller.place]?.apps[caller.app] = nil }
        if let place = places[caller.place], place.apps.isEmpty, !place.hasTurn, !place.voice.isSilent {
            places[caller.place] = nil
        }
        guard places.count > Self.most else { return }
        for (name, place) in places where slots.held(by: name) == 0 && place.waiting == 0 && !place.hasTurn {
            places[name] = nil
        }
    }
}
