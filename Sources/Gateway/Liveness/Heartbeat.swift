/// How a running gateway shows that it is alive.
package struct Heartbeat: Sendable {
    /// The time between two beats, and how long a part may take to answer before it counts as silent.
    let interval: Duration
    /// Called when every part that an ack needs has answered.
    let beat: @Sendable () -> Void

    package init(every interval: Duration = .seconds(10), beat: @escaping @Sendable () -> Void = {}) {
        self.interval = interval
        self.beat = beat
    }
}
