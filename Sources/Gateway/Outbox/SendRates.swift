import AsyncRuntime
import Store

/// How fast messages may be sent, kept before the platform has to say so. Source: "Send message", frequency limits:
/// 1,000 a minute and 50 a second for an app, 5 a second to the same person or group, whichever of the bots there
/// sends.
package struct SendLimits: Sendable, Equatable {
    package var perChatAndSecond = 5
    package var perAppAndSecond = 50
    package var perAppAndMinute = 1_000

    package init() {}
}

/// What was sent lately, and so what may be sent now. Pure: time comes from outside.
///
/// Whoever writes `/help` again and again makes the app answer as often. So notices (answers of commands, prompts, and
/// what else the gateway says by itself) get three quarters of the app's rate at the most: the rest is for replies.
struct SendRates: Sendable {
    enum Purpose: Sendable { case reply, notice }

    enum Answer: Sendable, Equatable {
        /// The right is taken.
        case taken
        /// Ask again then.
        case wait(until: ContinuousClock.Instant)
        /// The share of notices is used up until then; replies may still be sent.
        case shareIsUsed(until: ContinuousClock.Instant)
    }

    private struct App {
        var second: SlidingWindow
        var minute: SlidingWindow
        var noticeSecond: SlidingWindow
        var noticeMinute: SlidingWindow
        /// The platform told it to wait.
        var heldUntil: ContinuousClock.Instant?

        init(_ limits: SendLimits) {
            second = SlidingWindow(limit: limits.perAppAndSecond, per: .seconds(1))
            minute = SlidingWindow(limit: limits.perAppAndMinute, per: .seconds(60))
            noticeSecond = SlidingWindow(limit: Self.share(of: limits.perAppAndSecond), per: .seconds(1))
            noticeMinute = SlidingWindow(limit: Self.share(of: limits.perAppAndMinute), per: .seconds(60))
        }

        mutating func setLimits(_ limits: SendLimits, _ now: ContinuousClock.Instant) {
            second.setLimit(limits.perAppAndSecond, now)
            minute.setLimit(limits.perAppAndMinute, now)
            noticeSecond.setLimit(Self.share(of: limits.perAppAndSecond), now)
            noticeMinute.setLimit(Self.share(of: limits.perAppAndMinute), now)
        }

        private static func share(of limit: Int) -> Int { max(1, limit * 3 / 4) }

        func isIdle(_ now: ContinuousClock.Instant) -> Bool { minute.isIdle(now) && next(now) <= now }

        func next(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant {
            max(second.next(now), minute.next(now), heldUntil ?? now)
        }
    }

    private var limits: SendLimits
    private var apps: [InstallationID: App] = [:]
    private var chats: [String: SlidingWindow] = [:]

    /// From this many on, idle apps and chats are forgotten. No hard bound: busy ones stay.
    private static let most = 4_096

    init(_ limits: SendLimits) {
        self.limits = limits
    }

    /// Takes other limits, from the next message on. What was sent in the running second and minute counts against
    /// them.
    mutating func update(_ limits: SendLimits, _ now: ContinuousClock.Instant) {
        guard limits != self.limits else { return }
        self.limits = limits
        for installation in apps.keys { apps[installation]?.setLimits(limits, now) }
        for chat in chats.keys { chats[chat]?.setLimit(limits.perChatAndSecond, now) }
    }

    /// Takes the right to send one message now.
    mutating func take(
        for installation: InstallationID, to chat: String, as purpose: Purpose = .reply,
        _ now: ContinuousClock.Instant
    ) -> Answer {
        var app = apps[installation] ?? App(limits)
        var window = chats[chat] ?? SlidingWindow(limit: limits.perChatAndSecond, per: .seconds(1))
        let next = max(app.next(now), window.next(now))
        if purpose == .notice {
            let share = max(app.noticeSecond.next(now), app.noticeMinute.next(now))
            guard share <= now else { return .shareIsUsed(until: max(share, next)) }
        }
        guard next <= now else { return .wait(until: next) }
        app.second.record(now)
        app.minute.record(now)
        if purpose == .notice {
            app.noticeSecond.record(now)
            app.noticeMinute.record(now)
        }
        window.record(now)
        if apps.count >= Self.most { apps = apps.filter { !$0.value.isIdle(now) } }
        apps[installation] = app
        if chats.count >= Self.most { chats = chats.filter { !$0.value.isIdle(now) } }
        chats[chat] = window
        return .taken
    }

    /// The platform said that the app is too fast.
    mutating func hold(_ installation: InstallationID, until instant: ContinuousClock.Instant) {
        var app = apps[installation] ?? App(limits)
        app.heldUntil = max(app.heldUntil ?? instant, instant)
        apps[installation] = app
    }

    /// The apps that may send nothing now, and when the first of them may again.
    func held(_ now: ContinuousClock.Instant) -> (installations: [InstallationID], until: ContinuousClock.Instant?) {
        let held = apps.compactMapValues { app in
            let next = app.next(now)
            return next > now ? next : nil
        }
        return (Array(held.keys), held.values.min())
    }
}
