import Curl
import AsyncRuntime
import Lark
import WebSocket

/// Owns installations through leases, and keeps each one that it owns connected.
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
        let supervisor: InstallationSupervisor
        let task: Task<Void, Never>
    }

    private let parts: Parts
    private let identity: ReplicaIdentity
    private let settings: [String: InstallationSettings]
    private let timing: LeaseTiming
    private let http: HTTPExchange
    private let longConnection: LongConnectionSettings
    private let gate = Gate(limit: 20)
    private var owned: [InstallationID: Owned] = [:]
    private var isStopping = false
    private var lastHeldElsewhere: [String] = []
    /// The apps of what is owned, for the messenger.
    private nonisolated let apps = Mutex([InstallationID: OpenAPIClient]())
    /// Rung when leases may be free.
    nonisolated let scanNow = Doorbell()

    init(parts: Parts, identity: ReplicaIdentity, settings: GatewaySettings) {
        self.parts = parts
        self.identity = identity
        self.settings = Dictionary(settings.installations.map { ($0.appID, $0) }, uniquingKeysWith: { $1 })
        timing = settings.lease
        http = HTTPExchange(settings: settings.network)
        longConnection = settings.longConnection
    }

    nonisolated func api(of installation: InstallationID) -> OpenAPIClient? {
        apps.withLock { $0[installation] }
    }

    /// Acquires and renews until the task is cancelled. Connections go on until `close`.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.keepScanning() }
            group.addTask { await self.keepRenewing() }
        }
    }

    /// Nothing more is received on any connection, and none is made.
    func stopReceiving() async {
        isStopping = true
        for owned in owned.values { await owned.supervisor.stopReceiving() }
    }

    /// Ends every connection, and waits for their end.
    func close() async {
        isStopping = true
        let ending = owned
        owned = [:]
        for owned in ending.values { owned.task.cancel() }
        for owned in ending.values { await owned.task.value }
    }

    // MARK: Leases

    private func keepScanning() async {
        var backoff = Backoff(initial: .seconds(1), maximum: timing.scanEvery)
        while !Task.isCancelled {
            var wait = timing.scanEvery * Double.random(in: 0.8...1.2)
            do {
                try await scan()
                parts.outages.succeeded("acquire_leases")
                backoff.reset()
            } catch {
                parts.outages.failed("acquire_leases", error)
                wait = max(backoff.next(), .milliseconds(200))
            }
            await scanNow.wait(atMost: wait)
        }
    }

    /// Takes what is free, reads its open windows back, and connects it.
    func scan() async throws {
        let missing = settings.keys.filter { app in !owned.values.contains { $0.supervisor.settings.appID == app } }
        guard !missing.isEmpty, !isStopping else { return }
        let holders = try await parts.repository.leaseHolders(ofApps: missing)
        let acquired = try await parts.repository.acquireLeases(
            holder: identity.name, deadHolders: holders.filter(identity.knowsDead), appIDs: missing, ttl: timing.ttl)
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
        let elsewhere = missing.filter { app in !acquired.contains { $0.appID == app } }.sorted()
        if elsewhere != lastHeldElsewhere, !elsewhere.isEmpty {
            parts.logger.log(.leaseHeldElsewhere(appIDs: elsewhere))
        }
        lastHeldElsewhere = elsewhere
    }

    private func connect(_ installation: AcquiredInstallation) {
        guard let settings = settings[installation.appID], !isStopping else { return }
        let supervisor = InstallationSupervisor(
            settings: settings, lease: installation.lease, bot: installation.bot, transport: parts.transport,
            longConnection: longConnection, http: http, dispatcher: parts.dispatcher, repository: parts.repository,
            gate: gate, logger: parts.logger,
            metrics: parts.metrics)
        apps.withLock { $0[installation.lease.installation] = supervisor.api }
        owned[installation.lease.installation]?.task.cancel()
        owned[installation.lease.installation] = Owned(supervisor: supervisor, task: Task { await supervisor.run() })
    }

    private func keepRenewing() async {
        // Counted from before the request, so that we stop before anybody else may begin.
        var trustedUntil = ContinuousClock.now + timing.ttl
        while !Task.isCancelled {
            try? await Task.sleep(for: timing.renewEvery)
            guard !Task.isCancelled else { return }
            let asked = ContinuousClock.now
            do {
                let held = try await parts.repository.renewLeases(
                    holder: identity.name, ttl: timing.ttl,
                    // An answer that comes after the lease could have ended is of no use.
                    within: min(.seconds(10), max(.milliseconds(100), asked.duration(to: trustedUntil))))
                trustedUntil = asked + timing.ttl
                parts.outages.succeeded("renew_leases")
                for lease in owned.values.map(\.supervisor.lease) where !held.contains(lease) {
                    lose(lease, reason: "another replica holds it, or it was revoked")
                }
            } catch {
                parts.outages.failed("renew_leases", error)
                // One renewal's time is the margin.
                guard ContinuousClock.now + timing.renewEvery > trustedUntil else { continue }
                for lease in owned.values.map(\.supervisor.lease) {
                    lose(lease, reason: "it could not be renewed in time")
                }
            }
        }
    }

    /// Ends the connection; nothing more is acked or written under this lease.
    func lose(_ lease: Lease, reason: String) {
        guard let loser = owned[lease.installation], loser.supervisor.lease == lease else { return }
        owned[lease.installation] = nil
        apps.withLock { $0[lease.installation] = nil }
        parts.leases.remove(lease)
        parts.batcher.forget(lease.installation)
        loser.task.cancel()
        parts.logger.log(.leaseLost(lease, appID: loser.supervisor.settings.appID, reason: reason))
        parts.metrics.set(.openWindows, to: parts.batcher.openWindows)
        scanNow.ring()
    }
}
