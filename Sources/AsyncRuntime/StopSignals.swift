import Dispatch
import Foundation

/// SIGTERM and SIGINT ask for an orderly stop.
package final class StopSignals: Sendable {
    package let stop = AsyncEvent()
    // Made in `init`, kept alive, never touched again.
    nonisolated(unsafe) private let sources: [any DispatchSourceSignal]

    package init() {
        // A peer that hangs up must not end the process.
        signal(SIGPIPE, SIG_IGN)
        let queue = DispatchQueue(label: "signals")
        sources = [SIGTERM, SIGINT].map { number in
            signal(number, SIG_IGN)
            return DispatchSource.makeSignalSource(signal: number, queue: queue)
        }
        for source in sources {
            source.setEventHandler { [stop] in stop.set() }
            source.activate()
        }
    }
}
