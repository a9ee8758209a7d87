/// Whether the parts that an ack needs still answer: all of them are asked, in rounds. Pure: time comes from outside.
package struct Liveness: Sendable, Equatable {
    package enum Part: String, CaseIterable, Sendable {
        /// Takes messages in and has them acked.
        case dispatcher
        /// Holds the leases and the connections.
        case hub
        /// The thread that waits for every socket.
        case sockets
        /// The queue behind time-outs.
        case timers
        /// The threads that run every task, so the rounds themselves too.
        case tasks
    }

    /// A part that has not answered for longer than it may take.
    package struct Silence: Sendable, Equatable, CustomStringConvertible {
        package let part: Part
        package let lasts: Duration

        package var description: String { "\(part.rawValue): no answer for \(lasts.components.seconds) s" }
    }

    package typealias Instant = ContinuousClock.Instant

    /// The longest time from one round to the next, and how long an answer may take.
    private let interval: Duration
    /// Since when an answer is waited for.
    private var asked: [Part: Instant] = [:]
    /// When the last round was over; nil while one goes on, and while nobody asks.
    private var answered: Instant?

    package init(interval: Duration) {
        self.interval = interval
    }

    package mutating func beginRound(_ parts: [Part], at now: Instant) {
        answered = nil
        for part in parts { asked[part] = now }
    }

    /// - Returns: whether the round is over with it.
    package mutating func answered(_ part: Part, at now: Instant) -> Bool {
        guard asked.removeValue(forKey: part) != nil, asked.isEmpty else { return false }
        answered = now
        return true
    }

    /// Nobody asks any more.
    package mutating func end() {
        (asked, answered) = ([:], nil)
    }

    /// Empty while everything is well, and while nobody asks.
    package func silences(at now: Instant) -> [Silence] {
        var silences = Part.allCases.compactMap { part in
            asked[part].map { Silence(part: part, lasts: $0.duration(to: now)) }
        }
        // The next round begins within an interval, unless nothing runs.
        if let answered {
            silences.append(Silence(part: .tasks, lasts: answered.duration(to: now) - interval))
        }
        return silences.filter { $0.lasts > interval }
    }
}
