import Dispatch

/// Puts an actor on a serial DispatchQueue, so that its state and the dispatch sources of the same queue agree on who
/// runs when.
package final class QueueExecutor: SerialExecutor {
    package let queue: DispatchQueue

    package init(label: String) {
        // Its own target would be the root queue that makes a thread for each busy queue: hundreds, with as many
        // connections.
        queue = DispatchQueue(label: label, target: .global())
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }

    package func checkIsolated() {
        dispatchPrecondition(condition: .onQueue(queue))
    }
}
