import Dispatch
import Foundation

/// SIGHUP asks for the configuration to be read again. Without this object it ends the process.
package final class ReloadSignal: Sendable {
    /// One element for each time; those that come while one is looked at are one.
    package let requests: AsyncStream<Void>
    // Made in `init`, kept alive, never touched again.
    nonisolated(unsafe) private let source: any DispatchSourceSignal

    package init() {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        requests = stream
        signal(SIGHUP, SIG_IGN)
        source = DispatchSource.makeSignalSource(signal: SIGHUP, queue: DispatchQueue(label: "reload"))
        source.setEventHandler { continuation.yield() }
        source.activate()
    }
}
