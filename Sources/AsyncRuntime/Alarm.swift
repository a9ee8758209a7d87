import Dispatch

/// A sleep that leaves nothing behind when it is cancelled. `Task.sleep` (Swift 6.3, Linux) keeps the job of a
/// cancelled sleep until its time: with a time-out of minutes that nobody reaches, the heap grows for minutes.
package enum Alarm {
    private static let queue = DispatchQueue(label: "alarms")

    /// Returns at `deadline`, or when the task is cancelled.
    package static func wait(until deadline: Deadline) async {
        let hasRung = AsyncEvent()
        let timer = DispatchSource.makeTimerSource(queue: queue)
        timer.setEventHandler { hasRung.set() }
        timer.schedule(deadline: .now() + deadline.remaining.dispatchInterval, leeway: .milliseconds(1))
        timer.activate()
        await hasRung.wait()
        timer.cancel()
    }
}
