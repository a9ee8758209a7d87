import Dispatch
import Foundation

/// SIGHUP asks for the configuration to be read again. Without this object it ends the process.
package final class ReloadSignal: Sendable {
    private let isAsked: Mutex<Bool>
    private let bell: Doorbell
    // Made in `init`, kept alive, never touched again.
    nonisolated(unsafe) private let source: any DispatchSourceSignal

    package init() {
        isAsked = Mutex(false)
        bell = Doorbell()
        signal(SIGHUP, SIG_IGN)
        source = DispatchSource.makeSignalSource(signal: SIGHUP, queue: DispatchQueue(label: "reload"))
        source.setEventHandler { [weak self] in
            self?.isAsked.withLock { $0 = true }
            self?.bell.ring()
        }
        source.activate()
    }

    /// Waits until it is asked for, `limit` at most, or until the task is cancelled. One waiter at a time.
    /// - Returns: whether it was asked for since the last call; however often, it is one.
    package func wait(atMost limit: Duration) async -> Bool {
        await bell.wait(atMost: limit)
        return isAsked.withLock { asked in
            defer { asked = false }
            return asked
        }
    }
}
