import AsyncRuntime
import Curl
import Lark
import WebSocket

/// Owns installations through leases, as many as are this replica's share, and keeps each one that it owns connected.
actor Hub {
    struct Parts: Sendable {
        let repository: Repository
        let leases: LeaseTable
        let batcher: RunBatcher
        let dispatcher: Dispatcher
        let transport: any WebSocketTransport
        let outages: OutageLog
        let logger: Logger
        let metrics: Metrics
    }

    private struct Owned {
        let lease: Lease
        let appID: String
        /// -1: to be looked at again.
        var revision: Int64
        /// nil: its secret can't be had.
        let supervisor: InstallationSupervisor?
        let task: Task<Void, Never>?
        /// Its connection is being ended in order.
        var isLeaving = false

        /// What it got is stored and acked, and its connection is closed.
        func end(_ dispatcher: Dispatcher) async {
            await supervisor?.drain()
            await dispatcher.drain()
            task?.cancel()
            await task?.value
        }
    }

    private let parts: Parts
    private let identity: ReplicaIdentity
    private let timing: LeaseTiming
    private let http: HTTPExchange
    private let longConnection: LongConnectionSettings
    private let board: ConnectionBoard
    private let handshakes = Gate(limit: 20)
    private let handovers = Gate(limit: 20)
    private var source: CredentialSource
    private var owned: [InstallationID: Owned] = [:]
    private var isStopping = false
    private var lastHeldElsewhere: [String] = []
    private var lastLocked: [String: String] = [:]
    /// The apps of what is owned, for the messenger.
    private nonisolated let apps = Mutex([InstallationID: OpenAPIClient]())
    /// Rung when leases may be free, or may be wanted or revoked.
    private nonisolated let scanNow = Doorbell()
    private nonisolated let checkNow = Doorbell()

    /// Changes that come one after another are looked at together.
    private static let settling: Duration = .milliseconds(100)

    init(parts: Parts, identity: ReplicaIdentity, settings: GatewaySettings) {
        self.parts = parts
        self.identity = identity
        source = CredentialSource(settings.installations, keys: settings.sealing)
        timing = settings.lease
        http = HTTPExchange(settings: settings.network)
        longConnection = settings.longConnection
        board = ConnectionBoard(metrics: parts.metrics)
    }

    nonisolated func api(of installation: InstallationID) -> OpenAPIClient? {
        apps.withLock { $0[installation] }
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

    /// Nothing more is received on any connection, and none is made.
    func stopReceiving() async {
        isStopping = true
        for owned in owned.values { await owned.supervisor?.drain() }
    }

    /// Ends every connection, and waits for their end.
    func close() async {
        isStopping = true
        let ending = owned
        owned = [:]
        for owned in ending.values { owned.task?.cancel() }
        for owned in ending.values { await owned.task?.value }
    }

    /// Secrets and keys have changed, perhaps: connections whose credentials did are made again.
    func update(_ new: CredentialSource) async {
        let old = source
        source = new
        let changed = owned.values.filter {
            old.configured[$0.appID] != new.configured[$0.appID] || $0.supervisor == nil
        }
        await reload(changed.map(\.lease.installation))
        lookNow()
    }

    // MARK: Taking leases

    private func keepScanning() async {
        var backoff = Backoff(initial: .seconds(1), maximum: timing.scanEvery)
        while !Task.isCancelled {
            var wait = timing.scanEvery * Double.random(in: 0.8...1.2)
            do {
                try await scan()
                parts.outages.succeeded("take_leases")
                backoff.reset()
            } catch {
                parts.outages.failed("take_leases", error)
                wait = max(backoff.next(), .milliseconds(200))
            }
            await scanNow.wait(atMost: wait)
            try? await Task.sleep(for: Self.settling)
        }
    }

    /// Takes what is free, reads its open windows back, and connects it.
    private func scan() async throws {
        guard !isStopping else { return }
        let apps = Array(source.configured.keys)
        let holders = try await parts.repository.leaseHolders()
        let acquired = try await parts.repository.takeLeases(
            holder: identity.name, deadHolders: holders.filter(identity.knowsDead), appIDs: apps,
            keyIDs: source.keys.ids, used: Array(owned.keys), ttl: timing.ttl, grace: timing.grace)
        for installation in acquired {
            parts.leases.insert(installation.lease)
            parts.logger.log(.leaseAcquired(installation.lease, appID: installation.appID))
        }
        if !acquired.isEmpty {
            let windows = try await parts.repository.loadWindows(of: acquired.map(\.lease.installation))
            for window in windows {
                parts.batcher.restore(window.session, openFor: window.openFor, dueIn: window.dueIn)
            }
            if !windows.isEmpty { parts.logger.log(.windowsRestored(windows.count)) }
        }
        for installation in acquired { connect(installation) }
        let mine = Set(owned.values.map(\.appID))
        let elsewhere = apps.filter { !mine.contains($0) }.sorted()
        if elsewhere != lastHeldElsewhere, !elsewhere.isEmpty {
            parts.logger.log(.leaseHeldElsewhere(appIDs: elsewhere))
        }
        lastHeldElsewhere = elsewhere
        try await lookForLockedSecrets(apps)
    }

    /// Says once which installations nobody with our keys can connect.
    private func lookForLockedSecrets(_ apps: [String]) async throws {
        let locked = Dictionary(
            try await parts.repository.lockedSecrets(appIDs: apps, keyIDs: source.keys.ids)
                .map { ($0.appID, $0.keyID) }, uniquingKeysWith: { $1 })
        for (app, key) in locked.sorted(by: { $0.key < $1.key }) where lastLocked[app] != key {
            parts.logger.log(.secretLocked(appID: app, reason: "\(CredentialsMissing(keyID: key))"))
        }
        lastLocked = locked
    }

    private func connect(_ row: InstallationRow) {
        guard !isStopping else { return }
        if let before = owned[row.lease.installation] {
            before.task?.cancel()
            board.remove(before.lease)
        }
        let credentials: AppCredentials
        do {
            credentials = try source.credentials(of: row)
        } catch {
            parts.logger.log(.secretLocked(appID: row.appID, reason: "\(error)"))
            board.set(.refused(reason: "\(error)", retryAt: .now), of: row.lease)
            owned[row.lease.installation] = Owned(
                lease: row.lease, appID: row.appID, revision: row.revision, supervisor: nil, task: nil)
            return
        }
        let supervisor = InstallationSupervisor(
            credentials: credentials, lease: row.lease, bot: row.bot, transport: parts.transport,
            longConnection: longConnection, http: http, dispatcher: parts.dispatcher, repository: parts.repository,
            board: board, handshakes: handshakes, logger: parts.logger, metrics: parts.metrics)
        apps.withLock { $0[row.lease.installation] = supervisor.api }
        owned[row.lease.installation] = Owned(
            lease: row.lease, appID: row.appID, revision: row.revision, supervisor: supervisor,
            task: Task { await supervisor.run() })
    }

    /// Makes connections again whose credentials are not those in use any more; the others go on.
    private func reload(_ installations: [InstallationID]) async {
        guard !installations.isEmpty else { return }
        do {
            let rows = try await parts.repository.loadInstallations(installations)
            await withDiscardingTaskGroup { group in
                for row in rows { group.addTask { await self.renewCredentials(row) } }
            }
        } catch {
            // The next look tries again.
            for installation in installations { owned[installation]?.revision = -1 }
            parts.outages.failed("load_installations", error)
        }
    }

    private func renewCredentials(_ row: InstallationRow) async {
        guard let known = owned[row.lease.installation], known.lease == row.lease, !known.isLeaving else { return }
        if let used = known.supervisor?.credentials, let credentials = try? source.credentials(of: row),
            used == credentials
        {
            owned[row.lease.installation]?.revision = row.revision
            return
        }
        owned[row.lease.installation]?.isLeaving = true
        await known.end(parts.dispatcher)
        // It may have been lost meanwhile.
        guard owned[row.lease.installation]?.lease == row.lease else { return }
        parts.logger.log(.credentialsChanged(appID: row.appID))
        connect(row)
    }

    // MARK: Holding leases

    private func keepRenewing() async {
        // Counted from before the request, so that we stop before anybody else may begin.
        var trustedUntil = ContinuousClock.now + timing.ttl
        var renewAt = ContinuousClock.now + timing.renewEvery
        while !Task.isCancelled {
            await checkNow.wait(atMost: ContinuousClock.now.duration(to: renewAt))
            try? await Task.sleep(for: Self.settling)
            guard !Task.isCancelled else { return }
            let asked = ContinuousClock.now
            // What is acquired while we ask is not in the answer.
            let believed = owned.values.map(\.lease)
            guard asked >= renewAt else {
                // The next renewal finds out, where this fails.
                if let held = try? await parts.repository.checkLeases(holder: identity.name) {
                    reconcile(believed, held)
                }
                continue
            }
            do {
                let held = try await parts.repository.holdLeases(
                    holder: identity.name, ttl: timing.ttl,
                    // An answer that comes after the lease could have ended is of no use.
                    within: min(.seconds(10), max(.milliseconds(100), asked.duration(to: trustedUntil))))
                trustedUntil = asked + timing.ttl
                renewAt = asked + timing.renewEvery
                parts.outages.succeeded("renew_leases")
                reconcile(believed, held)
            } catch {
                parts.outages.failed("renew_leases", error)
                renewAt = .now + min(.seconds(1), timing.renewEvery)
                // One renewal's time is the margin.
                guard ContinuousClock.now + timing.renewEvery > trustedUntil else { continue }
                for lease in owned.values.map(\.lease) {
                    lose(lease, reason: "it could not be renewed in time")
                }
            }
        }
    }

    /// What the database says that we hold is what we go on with.
    private func reconcile(_ believed: [Lease], _ held: [HeldLease]) {
        let leases = Set(held.map(\.lease))
        for lease in believed where !leases.contains(lease) {
            lose(lease, reason: "another replica holds it, or it was revoked")
        }
        guard !isStopping else { return }
        let changed = held.filter { held in
            owned[held.lease.installation].map { $0.revision != held.revision && !$0.isLeaving } ?? false
        }
        if !changed.isEmpty { Task { await reload(changed.map(\.lease.installation)) } }
        for wanted in held where wanted.isWanted && owned[wanted.lease.installation]?.isLeaving == false {
            owned[wanted.lease.installation]?.isLeaving = true
            Task { try? await handovers.pass { await self.handOver(wanted.lease) } }
        }
    }

    /// Ends the connection; nothing more is acked or written under this lease.
    func lose(_ lease: Lease, reason: String) {
        guard let loser = forget(lease) else { return }
        loser.task?.cancel()
        parts.logger.log(.leaseLost(lease, appID: loser.appID, reason: reason))
        scanNow.ring()
    }

    /// Gives a lease to the replica that wants it, in order: what was received is stored and acked, the connection ends,
    /// and only then the other one begins. Open windows are the other's: they stand in the database.
    private func handOver(_ lease: Lease) async {
        guard let leaving = owned[lease.installation], leaving.lease == lease, !isStopping else { return }
        await leaving.end(parts.dispatcher)
        // It may have been lost meanwhile.
        guard !isStopping, owned[lease.installation]?.lease == lease else { return }
        do {
            // Before we forget it: our own scan would take it again.
            let isReleased = try await parts.repository.releaseLease(lease, holder: identity.name)
            guard forget(lease) != nil else { return }
            if isReleased { parts.logger.log(.leaseHandedOver(lease, appID: leaving.appID)) }
        } catch {
            // Still ours in the database: the next scan takes it again.
            _ = forget(lease)
            parts.outages.failed("release_lease", error)
            scanNow.ring()
        }
    }

    private func forget(_ lease: Lease) -> Owned? {
        guard let found = owned[lease.installation], found.lease == lease else { return nil }
        owned[lease.installation] = nil
        apps.withLock { $0[lease.installation] = nil }
        parts.leases.remove(lease)
        parts.batcher.forget(lease.installation)
        board.remove(lease)
        parts.metrics.set(.openWindows, to: parts.batcher.openWindows)
        return found
    }
}
