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

    /// - Returns: nil when the task was cancelled first; then nobody waits for the end of `body`, which goes on.
    package static func runUnlessCancelled<T: Sendable>(_ body: @escaping @Sendable () -> T) async -> T? {
        let answer = Answer<T>()
        start {
            let value = body()
            answer.value.withLock { $0 = value }
            answer.isThere.set()
        }
        await answer.isThere.wait()
        return answer.value.withLock { $0 }
    }

    private final class Answer<T: Sendable>: Sendable {
        let value = Mutex<T?>(nil)
        let isThere = AsyncEvent()
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
