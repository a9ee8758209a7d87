import Configuration
import Output
import Store

/// What `status` says of what stands in the database, for people and for programs. Pure.
struct StatusReport {
    /// Something that needs a person. The documented list of kinds stands in README.md.
    struct Problem: Equatable {
        enum Kind: String {
            case refused
            case secretLocked = "secret_locked"
            case notOwned = "not_owned"
            case outboxDead = "outbox_dead"
            case noWorker = "no_worker"
            case database
        }

        let kind: Kind
        /// An app or a runtime; nil: all of it.
        var subject: String?
        let text: String

        var json: OrderedJSON {
            ["kind": .string(kind.rawValue), "subject": OrderedJSON(subject), "text": .string(text)]
        }
    }

    /// A task that waits for so long, while none of its runtime is claimed, has no worker.
    static let workerPatience: Duration = .seconds(60)

    let installations: Listed<InstallationStatus>
    let runtimes: Listed<WaitingRuntime>

    var problems: [Problem] { installations.rows.flatMap(Self.problems) + runtimes.rows.compactMap(Self.problem) }

    /// Of installations that are not among the rows.
    var unlistedProblems: Int {
        max(
            0, (installations.rows.first?.needing ?? 0) - installations.rows.filter { !Self.problems($0).isEmpty }.count
        )
    }

    var isWell: Bool { problems.isEmpty && unlistedProblems == 0 }

    private static func problems(_ row: InstallationStatus) -> [Problem] {
        let kind: Problem.Kind? =
            switch row.state {
            case .refused: .refused
            case .locked: .secretLocked
            case .ownerGone, .free: .notOwned
            case .connecting, .connected, .backingOff, .draining, .revoked: nil
            }
        let state = kind.map { Problem(kind: $0, subject: row.appID, text: condition(row)) }
        let dead = Problem(
            kind: .outboxDead, subject: row.appID,
            text: "\(row.outboxDied) given up within a day: lark-gateway outbox list, outbox retry dead")
        return [state, row.outboxDied > 0 ? dead : nil].compactMap { $0 }
    }

    private static func problem(_ runtime: WaitingRuntime) -> Problem? {
        guard runtime.claimed == 0, runtime.oldest > workerPatience else { return nil }
        return Problem(
            kind: .noWorker, subject: runtime.name,
            text:
                "\(runtime.queued) tasks wait, the oldest for \(DurationText.text(runtime.oldest)), and no worker has any"
        )
    }

    /// Such as `connected for 12s, last seen 3s ago`, or `refused for 3s, again in 296s: authentication failed`.
    static func condition(_ row: InstallationStatus) -> String {
        let age = row.age.map { max(0, $0.components.seconds) }
        let seen = row.lastSeenAge.map { "last seen \(max(0, $0.components.seconds))s ago" }
        let reason = row.reason.map { ": \($0)" } ?? ""
        switch row.state {
        case .free: return "owned by nobody" + (age.map { " for \($0)s" } ?? "")
        case .ownerGone:
            let why =
                row.isHolderDead ? "that process is gone" : "it does not renew its lease"
            return "not connected: \(why), \(seen ?? "never seen")"
        default:
            let retry = row.retryIn.map { ", again in \(max(0, $0.components.seconds))s" } ?? ""
            let isLive = row.state != .locked && row.state != .revoked
            return row.state.rawValue + (age.map { " for \($0)s" } ?? "") + retry
                + (isLive ? seen.map { ", \($0)" } ?? "" : "") + reason
        }
    }

    // MARK: For people

    func say() {
        let head = [
            "APP", "WORKSPACE/AGENT", "RUNTIME", "STATE", "WINDOWS", "QUEUED", "CLAIMED", "OUTBOX", "OLDEST", "DEAD",
        ]
        let cells = installations.rows.map { row in
            [
                row.appID, "\(row.workspace)/\(row.agent)", row.isArchived ? "archived" : row.runtime ?? "offline",
                row.state.rawValue, "\(row.openWindows)", "\(row.queuedTasks)", "\(row.claimedTasks)",
                "\(row.outboxWaiting)", row.outboxOldest.map { "\(Int($0.seconds))s" } ?? "-", "\(row.outboxDead)",
            ]
        }
        Terminal.sayTable(head, cells)
        if installations.rest > 0 {
            Terminal.say("and \(installations.rest) more: --limit \(installations.total) shows all")
        }
        for row in installations.rows where row.state != .revoked {
            let owner: TerminalText =
                switch (row.holder, row.state) {
                case (let holder?, .ownerGone): "\(row.appID) was owned by \(holder), "
                case (let holder?, _): "\(row.appID) is owned by \(holder), "
                case (nil, _): "\(row.appID) is "
                }
            Terminal.say("\(owner)\(Self.condition(row))")
        }
        var told: Set<String> = []
        for row in installations.rows {
            for override in row.overrides { Terminal.say("\(row.appID): \(Overrides.text(override))") }
            let agent = "\(row.workspace)/\(row.agent)"
            guard told.insert(agent).inserted else { continue }
            for override in row.agentOverrides { Terminal.say("\(agent): \(Overrides.text(override))") }
        }
        for problem in problems {
            Terminal.say("needs a person: \(problem.subject.map { "\($0): " } ?? "")\(problem.text)")
        }
        if unlistedProblems > 0 { Terminal.say("needs a person: \(unlistedProblems) more bots") }
    }

    // MARK: For programs

    var json: OrderedJSON {
        [
            "ok": .boolean(isWell), "problems": .array(problems.map(\.json)),
            "problems_rest": .integer(unlistedProblems),
            "installations": .array(installations.rows.map(Self.object)), "rest": .integer(installations.rest),
            "runtimes": .array(
                runtimes.rows.map { runtime in
                    [
                        "runtime": .string(runtime.name), "queued": .integer(runtime.queued),
                        "oldest_seconds": .duration(runtime.oldest), "claimed": .integer(runtime.claimed),
                    ]
                }), "runtimes_rest": .integer(runtimes.rest),
        ]
    }

    /// The same members where nothing could be read.
    static func json(_ problem: Problem) -> OrderedJSON {
        [
            "ok": .boolean(false), "problems": [problem.json], "problems_rest": .integer(0), "installations": [],
            "rest": .integer(0), "runtimes": [], "runtimes_rest": .integer(0),
        ]
    }

    private static func object(_ row: InstallationStatus) -> OrderedJSON {
        [
            "app_id": .string(row.appID), "workspace": .string(row.workspace), "agent": .string(row.agent),
            "runtime": OrderedJSON(row.runtime), "archived": .boolean(row.isArchived), "access": .string(row.access),
            "from": .string(row.origin), "sealed_key_id": OrderedJSON(row.sealedKeyID),
            "state": .string(row.state.rawValue), "reason": OrderedJSON(row.reason), "since": OrderedJSON(row.since),
            "age_seconds": OrderedJSON(row.age), "retry_in_seconds": OrderedJSON(row.retryIn.map { max(.zero, $0) }),
            "owner": OrderedJSON(row.holder), "last_seen": OrderedJSON(row.lastSeen),
            "last_seen_seconds": OrderedJSON(row.lastSeenAge), "open_windows": .integer(row.openWindows),
            "queued_tasks": .integer(row.queuedTasks), "claimed_tasks": .integer(row.claimedTasks),
            "outbox_waiting": .integer(row.outboxWaiting), "outbox_oldest_seconds": OrderedJSON(row.outboxOldest),
            "outbox_dead": .integer(row.outboxDead), "overrides": Overrides.json(row.overrides),
            "agent_overrides": Overrides.json(row.agentOverrides),
        ]
    }
}
