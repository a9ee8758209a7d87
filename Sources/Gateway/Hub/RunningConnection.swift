import AsyncRuntime
import Curl
import Lark
import Store

/// A connection of an installation that this replica owns, from the moment that it is begun.
struct RunningConnection: Sendable {
    let connection: LeaseBook.Connection
    let supervisor: InstallationSupervisor
    /// Ends after it was cancelled, or after the supervisor was drained.
    let task: Task<Void, Never>
}

/// Begins connections: has what all of them share.
struct Connector: Sendable {
    private let parts: Hub.Parts
    private let board: ConnectionBoard
    private let http: HTTPExchange
    private let longConnection: LongConnectionSettings
    /// One domain alone has 20 at a time. As many wait as there are installations.
    private let handshakes = ConcurrencyLimit(.init(total: 40, perApp: 2, maxWaiting: .max))

    init(parts: Hub.Parts, board: ConnectionBoard, settings: GatewaySettings) {
        self.parts = parts
        self.board = board
        let platforms = PlatformLog(logger: parts.logger)
        http = HTTPExchange(settings: settings.network, observe: { platforms.ended($0, .now) })
        longConnection = settings.longConnection
    }

    func connect(
        _ row: InstallationRow, with credentials: AppCredentials, as connection: LeaseBook.Connection
    ) -> RunningConnection {
        let supervisor = InstallationSupervisor(
            credentials: credentials, lease: row.lease, bot: row.bot, transport: parts.transport,
            longConnection: longConnection, http: http, dispatcher: parts.dispatcher, repository: parts.repository,
            board: board, handshakes: handshakes, logger: parts.logger, metrics: parts.metrics)
        return RunningConnection(
            connection: connection, supervisor: supervisor, task: Task { await supervisor.run() })
    }
}
