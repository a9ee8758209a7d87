import AsyncRuntime
import Store
import WebSocket

/// Owns installations through leases, as many as are this replica's share, and keeps each one that it owns connected.
/// What is to be done is decided by `LeaseBook`; the hub does it, and tells the book what came of it.
actor Hub {
    struct Parts: Sendable {
        let repository: Repository
        let leases: LeaseTable
        let apps: AppDirectory
        let batcher: RunBatcher
        let dispatcher: Dispatcher
        let transport: any WebSocketTransport
        /// Called when installations have become ours.
        let acquired: @Sendable () -> Void
        let outages: OutageLog
        let logger: Logger
        let metrics: Metrics
    }

    /// What a scan asks for.
    struct Search {
        let appIDs: [String]
        let keyIDs: [String]
        let used: [InstallationID]
    }

    let parts: Parts
    let identity: ReplicaIdentity
    let timing: LeaseTiming
    private let board: ConnectionBoard
    private let connector: Connector
    private var source: CredentialSource
    private var book = LeaseBook()
    private var answers = 0
    /// Of each installation the connection that the book says is running.
    private var connections: [InstallationID: RunningConnection] = [:]
    /// Rung when leases may be free, or may be wanted or revoked.
    nonisolated let scanNow = Doorbell()
    nonisolated let checkNow = Doorbell()

    /// Changes that come one after another are looked at together.
    static let settling: Duration = .milliseconds(100)

    init(parts: Parts, identity: ReplicaIdentity, settings: GatewaySettings) {
        self.parts = parts
        self.identity = identity
        source = CredentialSource(settings.installations, keys: settings.sealing)
        timing = settings.lease
        board = ConnectionBoard(metrics: parts.metrics)
        connector = Connector(parts: parts, board: board, settings: settings)
    }

    /// Something about installations has changed, perhaps.
    nonisolated func lookNow() {
        checkNow.ring()
        scanNow.ring()
    }

    /// Acquires, renews and hands over until the task is cancelled. Connections go on until `close`.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.keepScanning() }
            group.addTask { await self.keepRenewing() }
            group.addTask { await self.board.keepWriting(to: self.parts.repository, outages: self.parts.outages) }
        }
    }

    /// Returns when the actor had a turn: what it writes keeps the compiler from leaving the turn out.
    func answer() {
        answers &+= 1
    }

    /// Secrets and keys have changed, perhaps: connections whose credentials did are made again.
    func update(_ new: CredentialSource) async {
        let old = source
        source = new
        let apps = Set(old.configured.keys).union(new.configured.keys)
        let changed = apps.filter { old.configured[$0] != new.configured[$0] }
        for work in receive(.reloaded(changed: changed)) { await work.value }
        lookNow()
    }

    /// Ends the connection; nothing more is acked or written under this lease.
    func lose(_ lease: Lease, reason: String) {
        receive(.lost(lease, reason: reason))
    }

    /// Nothing more is received on any connection, and none is made.
    func stopReceiving() async {
        for work in receive(.stopped) { await work.value }
    }

    /// Ends every connection, and waits for their end.
    func close() async {
        for work in receive(.closed) { await work.value }
    }

    // MARK: What the book knows

    /// nil: we stop.
    var search: Search? {
        guard !book.isStopping else { return nil }
        return Search(
            appIDs: Array(source.configured.keys), keyIDs: source.keys.ids, used: book.leases.map(\.installation))
    }

    var leases: [Lease] { book.leases }

    func holds(_ lease: Lease) -> Bool { book.holds(lease) }

    // MARK: What the book says

    /// - Returns: what goes on; each tells the book what came of it.
    @discardableResult
    func receive(_ event: LeaseBook.Event) -> [Task<Void, Never>] {
        book.receive(event).compactMap { perform($0) }
    }

    private func perform(_ action: LeaseBook.Action) -> Task<Void, Never>? {
        switch action {
        case .own(let lease): parts.leases.insert(lease)
        case .disown(let lease): disown(lease)
        case .connect(let row, let connection): connect(row, as: connection)
        case .end(let connection): return end(connection)
        case .abort(let connection): return abort(connection)
        case .stopReceiving(let connection):
            guard let running = running(connection) else { return nil }
            return Task { await running.supervisor.drain() }
        case .release(let lease): return Task { await release(lease) }
        case .load(let installations): return Task { await load(installations) }
        case .scan: scanNow.ring()
        case .log(let note): parts.logger.log(LogEvent(note))
        }
        return nil
    }

    private func disown(_ lease: Lease) {
        parts.apps.remove(lease)
        parts.leases.remove(lease)
        parts.batcher.forget(lease.installation)
        board.remove(lease)
        parts.metrics.set(.openWindows, to: parts.batcher.openWindows)
    }

    private func connect(_ row: InstallationRow, as connection: LeaseBook.Connection) {
        do {
            let running = connector.connect(row, with: try source.credentials(of: row), as: connection)
            connections[row.lease.installation] = running
            parts.apps.insert(running.supervisor.api, under: row.lease)
        } catch {
            let hint = (error as? CredentialsLocked)?.hint
            parts.logger.log(.secretLocked(appID: row.appID, reason: "\(error)", hint: hint))
            board.set(.locked(reason: "\(error)"), of: row.lease)
            receive(.secretMissing(connection))
        }
    }

    private func end(_ connection: LeaseBook.Connection) -> Task<Void, Never>? {
        guard let running = running(connection) else { return nil }
        return Task {
            await running.supervisor.drain()
            await parts.dispatcher.drain()
            running.task.cancel()
            await ended(running)
        }
    }

    private func abort(_ connection: LeaseBook.Connection) -> Task<Void, Never>? {
        guard let running = running(connection) else { return nil }
        running.task.cancel()
        return Task { await ended(running) }
    }

    private func running(_ connection: LeaseBook.Connection) -> RunningConnection? {
        connections[connection.lease.installation].flatMap { $0.connection == connection ? $0 : nil }
    }

    /// Waits for the end of a connection that was told to end.
    private func ended(_ running: RunningConnection) async {
        await running.task.value
        let (connection, lease) = (running.connection, running.connection.lease)
        if self.running(connection) != nil { connections[lease.installation] = nil }
        // What it said of itself after the lease was lost.
        if !book.holds(lease) { board.remove(lease) }
        receive(.ended(connection))
    }

    private func release(_ lease: Lease) async {
        do {
            let wasOurs = try await parts.repository.releaseLease(lease, holder: identity.name)
            parts.outages.succeeded("release_lease")
            receive(.released(lease, wasOurs: wasOurs))
        } catch {
            parts.outages.failed("release_lease", error)
            receive(.notReleased(lease))
        }
    }

    /// Secrets that versions before this one sealed are bound to their domain from now on. What fails is tried again
    /// when the installation is acquired again.
    func bindToDomains(_ rows: [InstallationRow]) async {
        for row in rows {
            guard let former = row.sealedSecret, let sealed = source.boundToDomain(row),
                let keyID = row.sealedKeyID.flatMap({ source.keys.key($0)?.id })
            else { continue }
            do {
                let isDone = try await parts.repository.reseal(
                    row.appID, former: former, sealed: sealed, keyID: keyID, at: row.domain)
                parts.outages.succeeded("reseal_secret")
                if isDone { parts.logger.log(.secretResealed(appID: row.appID, domain: row.domain)) }
            } catch {
                parts.outages.failed("reseal_secret", error)
            }
        }
    }

    private func loaded(_ row: InstallationRow) -> LeaseBook.Event {
        let used = connections[row.lease.installation]?.supervisor.credentials
        let found = try? source.credentials(of: row)
        return .loaded(row, isInUse: used != nil && used == found, isLocked: found == nil)
    }

    private func load(_ installations: [InstallationID]) async {
        do {
            let rows = try await parts.repository.loadInstallations(installations)
            parts.outages.succeeded("load_installations")
            // All at once: one that ends slowly holds up no other.
            let renewals = rows.flatMap { receive(loaded($0)) }
            for work in renewals { await work.value }
        } catch {
            parts.outages.failed("load_installations", error)
            receive(.notLoaded(installations))
        }
    }
}

extension LogEvent {
    fileprivate init(_ note: LeaseBook.Note) {
        switch note {
        case .acquired(let lease, let appID): self = .leaseAcquired(lease, appID: appID)
        case .lost(let lease, let appID, let reason): self = .leaseLost(lease, appID: appID, reason: reason)
        case .handedOver(let lease, let appID): self = .leaseHandedOver(lease, appID: appID)
        case .credentialsChanged(let appID): self = .credentialsChanged(appID: appID)
        case .domainChanged(let appID, let old, let new): self = .domainChanged(appID: appID, from: old, to: new)
        case .heldElsewhere(let appIDs): self = .leaseHeldElsewhere(appIDs: appIDs)
        case .secretLocked(let appID, let keyID):
            self = .secretLocked(appID: appID, reason: "\(CredentialsMissing(keyID: keyID))")
        }
    }
}
