import Store

/// The rules of owning installations: what this replica holds, which connections run, and what is to be done next.
/// Pure: what happened comes in as an event, what to do goes out as actions. `Hub` performs them, and answers each with
/// the event that its case names; in between anything else may happen.
///
/// An installation has one connection here at a time, whatever lease it is of: the next one waits for its end. No
/// connection is made without a lease.
struct LeaseBook {
    /// One connection of an installation, from `connect` to `ended`.
    struct Connection: Hashable, Sendable {
        let lease: Lease
        /// Credentials that change bring another connection under the same lease.
        let number: Int
    }

    enum Event: Sendable {
        /// The database gave us these.
        case acquired([InstallationRow])
        /// Their open windows are with the batcher, so that what comes in extends them.
        case windowsRestored([Lease])
        /// They are ours in the database all the same: the next scan takes them again.
        case windowsNotRestored([Lease])
        /// A scan for the apps of the configuration has ended.
        case scanned(configured: [String])
        /// What nobody with our keys can connect, by app: the key that is missing.
        case secretsLocked([String: String])
        /// What the database says that we hold, and what we believed when we asked.
        case held([HeldLease], believed: [Lease])
        case lost(Lease, reason: String)
        /// None could be renewed before somebody else may take it.
        case notRenewedInTime
        /// Credentials of the configuration have changed.
        case reloaded(changed: Set<String>)
        /// An installation was read again, and its connection has these credentials already, or has not.
        /// - isLocked: they can't be had.
        case loaded(InstallationRow, isInUse: Bool, isLocked: Bool = false)
        case notLoaded([InstallationID])
        /// No connection was made.
        case secretMissing(Connection)
        case ended(Connection)
        /// Ours is false: it was another's already.
        case released(Lease, wasOurs: Bool)
        case notReleased(Lease)
        /// Nothing more is received, connected, or handed over.
        case stopped
        case closed
    }

    enum Action: Equatable, Sendable {
        /// Who writes on behalf of the installation does so under this lease.
        case own(Lease)
        /// Nothing more is written or acked under it.
        case disown(Lease)
        /// Answered by `secretMissing`, if that is so.
        case connect(InstallationRow, as: Connection)
        /// What it received is stored and acked, then it is closed. Answered by `ended`.
        case end(Connection)
        /// It is closed at once. Answered by `ended`.
        case abort(Connection)
        /// It stays open for the acks of what it received.
        case stopReceiving(Connection)
        /// Answered by `released` or `notReleased`.
        case release(Lease)
        /// Answered by `loaded` for each that there is, or by `notLoaded`.
        case load([InstallationID])
        /// Leases may be free.
        case scan
        case log(Note)
    }

    /// A decision that people read about.
    enum Note: Equatable, Sendable {
        case acquired(Lease, appID: String)
        case lost(Lease, appID: String, reason: String)
        case handedOver(Lease, appID: String)
        case credentialsChanged(appID: String)
        /// In the database, while we held it.
        case domainChanged(appID: String, from: String, to: String)
        case heldElsewhere(appIDs: [String])
        case secretLocked(appID: String, keyID: String)
    }

    private enum Phase {
        /// Its open windows are being read back. Then `waiting` or `connected`.
        case restoring
        /// For the end of the installation's connection under an older lease. Then `connected`.
        case waiting
        /// Then `renewing`, `queued` or `locked`.
        case connected
        /// Its secret can't be had. Then `connected` or `queued`.
        case locked
        /// Its connection is ended in order, to be made again with other credentials. Then `connected`.
        case renewing
        /// Another replica wants it; its turn has not come. Then `leaving` or `releasing`.
        case queued
        /// Its connection is ended in order. Then `releasing`.
        case leaving
        /// The database is told. Until then it stays in the book: a scan would take it again.
        case releasing

        var isHandover: Bool {
            switch self {
            case .queued, .leaving, .releasing: true
            case .restoring, .waiting, .connected, .locked, .renewing: false
            }
        }
    }

    private struct Entry {
        /// What its connection is made with, or the next one will be.
        var row: InstallationRow
        var phase: Phase
        /// Newer credentials could not be read.
        var isStale = false

        var lease: Lease { row.lease }
    }

    private var entries: [InstallationID: Entry] = [:]
    /// The one connection of each installation that has not ended, of whatever lease.
    private var running: [InstallationID: Connection] = [:]
    private var lastNumber = 0
    /// What waits for its turn; one that was lost meanwhile is passed over.
    private var handoverQueue: [Lease] = []
    private var handoversUnderWay: Set<Lease> = []
    private var lastHeldElsewhere: [String] = []
    private var lastLocked: [String: String] = [:]
    private(set) var isStopping = false

    private let maxHandovers: Int

    /// - Parameter maxHandovers: at a time.
    init(maxHandovers: Int = 20) {
        self.maxHandovers = maxHandovers
    }

    /// What we hold, as far as we know; in order.
    var leases: [Lease] { entries.values.map(\.lease).sorted { $0.installation < $1.installation } }

    func holds(_ lease: Lease) -> Bool { entries[lease.installation]?.lease == lease }

    mutating func receive(_ event: Event) -> [Action] {
        switch event {
        case .acquired(let rows): rows.flatMap { acquire($0) }
        case .windowsRestored(let leases): leases.flatMap { restored($0) }
        case .windowsNotRestored(let leases): leases.flatMap { notRestored($0) }
        case .scanned(let apps): noteElsewhere(apps)
        case .secretsLocked(let locked): noteLocked(locked)
        case .held(let held, let believed): reconcile(held, believed)
        case .lost(let lease, let reason): lose(lease, reason)
        case .notRenewedInTime: leases.flatMap { lose($0, "it could not be renewed in time") }
        case .reloaded(let changed): reload(changed)
        case .loaded(let row, let isInUse, let isLocked): loaded(row, isInUse, isLocked)
        case .notLoaded(let installations): notLoaded(installations)
        case .secretMissing(let connection): secretMissing(connection)
        case .ended(let connection): ended(connection)
        case .released(let lease, let wasOurs): released(lease, wasOurs)
        case .notReleased(let lease): notReleased(lease)
        case .stopped: stop()
        case .closed: close()
        }
    }

    // MARK: Acquiring

    private mutating func acquire(_ row: InstallationRow) -> [Action] {
        var actions: [Action] = []
        if let known = entries[row.lease.installation]?.lease {
            // An answer that was overtaken by a newer one.
            guard known.generation < row.lease.generation else { return [] }
            actions = forget(known).actions
        }
        entries[row.lease.installation] = Entry(row: row, phase: .restoring)
        return actions + [.own(row.lease), .log(.acquired(row.lease, appID: row.appID))]
    }

    private mutating func restored(_ lease: Lease) -> [Action] {
        guard let entry = entries[lease.installation], entry.lease == lease, case .restoring = entry.phase else {
            return []
        }
        return connect(lease.installation)
    }

    private mutating func notRestored(_ lease: Lease) -> [Action] {
        guard let entry = entries[lease.installation], entry.lease == lease, case .restoring = entry.phase else {
            return []
        }
        return forget(lease).actions
    }

    private mutating func connect(_ installation: InstallationID) -> [Action] {
        guard let entry = entries[installation] else { return [] }
        guard running[installation] == nil, !isStopping else {
            entries[installation]?.phase = .waiting
            return []
        }
        lastNumber += 1
        let connection = Connection(lease: entry.lease, number: lastNumber)
        running[installation] = connection
        entries[installation]?.phase = .connected
        return [.connect(entry.row, as: connection)]
    }

    private mutating func secretMissing(_ connection: Connection) -> [Action] {
        guard running[connection.lease.installation] == connection else { return [] }
        running[connection.lease.installation] = nil
        if holds(connection.lease) { entries[connection.lease.installation]?.phase = .locked }
        return []
    }

    /// Says once which of our apps other replicas have.
    private mutating func noteElsewhere(_ apps: [String]) -> [Action] {
        let mine = Set(entries.values.map(\.row.appID))
        let elsewhere = apps.filter { !mine.contains($0) }.sorted()
        guard elsewhere != lastHeldElsewhere else { return [] }
        lastHeldElsewhere = elsewhere
        return elsewhere.isEmpty ? [] : [.log(.heldElsewhere(appIDs: elsewhere))]
    }

    /// Says once which installations nobody with our keys can connect.
    private mutating func noteLocked(_ locked: [String: String]) -> [Action] {
        defer { lastLocked = locked }
        return locked.sorted { $0.key < $1.key }.filter { lastLocked[$0.key] != $0.value }
            .map { .log(.secretLocked(appID: $0.key, keyID: $0.value)) }
    }

    // MARK: Holding

    /// What the database says that we hold is what we go on with.
    private mutating func reconcile(_ held: [HeldLease], _ believed: [Lease]) -> [Action] {
        let confirmed = Set(held.map(\.lease))
        var actions = believed.filter { !confirmed.contains($0) }
            .flatMap { lose($0, "another replica holds it, or it was revoked") }
        guard !isStopping else { return actions }
        var changed: [InstallationID] = []
        for held in held {
            guard let entry = entries[held.lease.installation], entry.lease == held.lease else { continue }
            if !entry.phase.isHandover, entry.isStale || entry.row.revision != held.revision {
                changed.append(held.lease.installation)
            }
            if held.isWanted { wanted(entry) }
        }
        if !changed.isEmpty { actions.append(.load(changed)) }
        return actions + startHandovers()
    }

    private mutating func lose(_ lease: Lease, _ reason: String) -> [Action] {
        let (entry, actions) = forget(lease)
        guard let entry else { return [] }
        return actions + [.log(.lost(lease, appID: entry.row.appID, reason: reason)), .scan] + startHandovers()
    }

    private mutating func forget(_ lease: Lease) -> (entry: Entry?, actions: [Action]) {
        guard let entry = entries[lease.installation], entry.lease == lease else { return (nil, []) }
        entries[lease.installation] = nil
        handoversUnderWay.remove(lease)
        var actions: [Action] = [.disown(lease)]
        if let connection = running[lease.installation], connection.lease == lease {
            actions.append(.abort(connection))
        }
        return (entry, actions)
    }

    private mutating func ended(_ connection: Connection) -> [Action] {
        let installation = connection.lease.installation
        guard running[installation] == connection else { return [] }
        running[installation] = nil
        guard let entry = entries[installation], !isStopping else { return [] }
        switch entry.phase {
        case .waiting, .connected: return connect(installation)
        case .renewing: return [.log(.credentialsChanged(appID: entry.row.appID))] + connect(installation)
        case .leaving: return release(entry.lease)
        case .restoring, .locked, .queued, .releasing: return []
        }
    }

    // MARK: Credentials

    /// What is locked is looked at too: a key may have come.
    private mutating func reload(_ changed: Set<String>) -> [Action] {
        guard !isStopping else { return [] }
        let concerned = entries.values.filter { entry in
            if case .locked = entry.phase { return true }
            return changed.contains(entry.row.appID)
        }
        return concerned.isEmpty ? [] : [.load(concerned.map(\.lease.installation).sorted())]
    }

    private mutating func loaded(_ row: InstallationRow, _ isInUse: Bool, _ isLocked: Bool) -> [Action] {
        let installation = row.lease.installation
        // One that was read before the newest change may come after it.
        guard let entry = entries[installation], entry.lease == row.lease, !entry.phase.isHandover, !isStopping,
            row.revision >= entry.row.revision
        else { return [] }
        entries[installation]?.row = row
        entries[installation]?.isStale = false
        let moved: [Action] =
            entry.row.domain == row.domain
            ? [] : [.log(.domainChanged(appID: row.appID, from: entry.row.domain, to: row.domain))]
        switch entry.phase {
        case .connected where isInUse: return moved
        case .connected:
            guard let connection = running[installation] else { return moved }
            entries[installation]?.phase = .renewing
            return moved + [.end(connection)]
        // Tried in any case, so that somebody who has just reloaded reads what is still missing.
        case .locked:
            return moved + (isLocked ? [] : [.log(.credentialsChanged(appID: row.appID))]) + connect(installation)
        // They connect with the row that is the newest then.
        case .restoring, .waiting, .renewing: return moved
        case .queued, .leaving, .releasing: return moved
        }
    }

    /// The next look at what we hold tries again.
    private mutating func notLoaded(_ installations: [InstallationID]) -> [Action] {
        for installation in installations { entries[installation]?.isStale = true }
        return []
    }

    // MARK: Handing over

    /// One whose credentials are being renewed is asked for again by the next look.
    private mutating func wanted(_ entry: Entry) {
        switch entry.phase {
        case .connected, .locked:
            entries[entry.lease.installation]?.phase = .queued
            handoverQueue.append(entry.lease)
        case .restoring, .waiting, .renewing, .queued, .leaving, .releasing: break
        }
    }

    /// In order: what was received is stored and acked, the connection ends, and only then the other replica begins.
    /// Open windows are the other's: they stand in the database.
    private mutating func startHandovers() -> [Action] {
        var actions: [Action] = []
        while !isStopping, handoversUnderWay.count < maxHandovers, !handoverQueue.isEmpty {
            let lease = handoverQueue.removeFirst()
            guard let entry = entries[lease.installation], entry.lease == lease, case .queued = entry.phase else {
                continue
            }
            handoversUnderWay.insert(lease)
            if let connection = running[lease.installation] {
                entries[lease.installation]?.phase = .leaving
                actions.append(.end(connection))
            } else {
                actions += release(lease)
            }
        }
        return actions
    }

    private mutating func release(_ lease: Lease) -> [Action] {
        entries[lease.installation]?.phase = .releasing
        return [.release(lease)]
    }

    private mutating func released(_ lease: Lease, _ wasOurs: Bool) -> [Action] {
        let (entry, actions) = forget(lease)
        guard let entry else { return [] }
        return actions + (wasOurs ? [.log(.handedOver(lease, appID: entry.row.appID))] : []) + startHandovers()
    }

    /// Still ours in the database: the next scan takes it again.
    private mutating func notReleased(_ lease: Lease) -> [Action] {
        let (entry, actions) = forget(lease)
        return entry == nil ? [] : actions + [.scan] + startHandovers()
    }

    // MARK: Stopping

    private mutating func stop() -> [Action] {
        isStopping = true
        return connections.filter { holds($0.lease) }.map { .stopReceiving($0) }
    }

    /// The leases stay ours until the database is told, of all of them in one statement.
    private mutating func close() -> [Action] {
        isStopping = true
        entries = [:]
        return connections.map { .abort($0) }
    }

    private var connections: [Connection] { running.values.sorted { $0.number < $1.number } }
}
