/// When a burst of messages becomes a run.
package struct Batching: Sendable, Equatable {
    /// The silence after the last message.
    package let silenceWindow: Duration
    /// The longest wait after the first.
    package let maxWait: Duration

    /// A window of zero or less falls back to 3 s; a `maxWait` shorter than the window is the window.
    package init(silenceWindow: Duration = .seconds(3), maxWait: Duration = .seconds(30)) {
        self.silenceWindow = silenceWindow > .zero ? silenceWindow : .seconds(3)
        self.maxWait = max(maxWait, self.silenceWindow)
    }
}
