/// Rings by name, handed on at most once in an interval: the first at once, those that come meanwhile together. A flood
/// of rings costs who answers them no more than one ring in each interval.
package final class PacedRings<Name: Hashable & Sendable>: Sendable {
    private let interval: Duration
    private let waiting = Mutex(Set<Name>())
    private let bell = Doorbell()

    /// - Parameter interval: short against what a person notices.
    package init(every interval: Duration = .milliseconds(10)) {
        self.interval = interval
    }

    /// Costs the same whether others wait or not. There are as many to wait at the most as there are names.
    package func ring(_ name: Name) {
        if waiting.withLock({ $0.insert(name).inserted }) { bell.ring() }
    }

    /// Until the task is cancelled. One caller at a time.
    /// - Parameter pause: waits for the interval.
    package func run(
        pause: @Sendable (Duration) async -> Void = { await Alarm.wait(until: .after($0)) },
        _ handOn: @Sendable (Name) async -> Void
    ) async {
        while !Task.isCancelled {
            await bell.wait()
            let names = waiting.withLock { names in
                defer { names.removeAll() }
                return names
            }
            for name in names { await handOn(name) }
            if !names.isEmpty { await pause(interval) }
        }
    }
}
