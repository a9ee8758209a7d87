import AsyncRuntime
import Curl
import Lark
import WebSocket

/// Owns installations through leases, as many as are this replica's share, and keeps each one that it owns connected.
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

    struct Owned {
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

    let parts: Parts
    let identity: ReplicaIdentity
    let timing: LeaseTiming
    private let http: HTTPExchange
    private let longConnection: LongConnectionSettings
    private let board: ConnectionBoard
    /// One domain alone has 20 at a time. As many wait as there are installations.
    private let handshakes = ConcurrencyLimit(.init(total: 40, perApp: 2, maxWaiting: .max))
    /// Each lease is a place of its own: 20 at a time in all.
    let handovers = ConcurrencyLimit(.init(total: 20, perApp: 1, maxWaiting: .max))
    var source: CredentialSource
    var owned: [InstallationID: Owned] = [:]
    var isStopping = false
    var lastHeldElsewhere: [String] = []
    var lastLocked: [String: String] = [:]
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
        let platforms = PlatformLog(logger: parts.logger)
        http = HTTPExchange(settings: settings.network, observe: { platforms.ended($0, .now) })
        longConnection = settings.longConnection
        board = ConnectionBoard(metrics: parts.metrics)
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

    // MARK: What is owned

    func connect(_ row: InstallationRow) {
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
        parts.apps.insert(supervisor.api, under: row.lease)
        owned[row.lease.installation] = Owned(
            lease: row.lease, appID: row.appID, revision: row.revision, supervisor: supervisor,
            task: Task { await supervisor.run() })
    }

    func forget(_ lease: Lease) -> Owned? {
        guard let found = owned[lease.installation], found.lease == lease else { return nil }
        owned[lease.installation] = nil
        parts.apps.remove(lease)
        parts.leases.remove(lease)
        parts.batcher.forget(lease.installation)
        board.remove(lease)
        parts.metrics.set(.openWindows, to: parts.batcher.openWindows)
        return found
    }
}
