import Foundation

/// Runs what blocks on a thread of its own. Not on a dispatch queue: libdispatch adds threads for blocked ones only
/// slowly, so a few dozen of them would stall everything else in the process.
package enum BlockingCall {
    private static let stackSize = 512 << 10

    package static func run<T: Sendable>(_ body: @escaping @Sendable () -> T) async -> T {
        await withCheckedContinuation { continuation in
            start { continuation.resume(returning: body()) }
        }
    }

    /// Without waiting for its end.
    /// - Parameter name: of the thread, 15 bytes at most.
    package static func start(name: String? = nil, _ body: @escaping @Sendable () -> Void) {
        let thread = Thread {
            if let name { Thread.current.name = name }
            body()
        }
        thread.stackSize = stackSize
        thread.start()
    }
}
