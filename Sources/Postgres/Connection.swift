import AsyncRuntime
import CLibpq
import Dispatch
import Glibc

/// One connection to the server, for one caller at a time. Every call has a deadline, obeys cancellation, and never
/// blocks a thread.
///
/// A statement whose deadline passes is cancelled on the server (PQcancel) and its answer awaited for 2 s more; where
/// none comes, the connection is given up.
package actor Connection {
    nonisolated let executor: QueueExecutor
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// `nil` once it is closed. Used only on the actor.
    private var handle: OpaquePointer?
    private var readiness: SocketReadiness?
    private var prepared: Set<String> = []
    private var isBusy = false
    private let preparesStatements: Bool

    private static let cancelGrace: Duration = .seconds(2)

    private init(executor: QueueExecutor, preparesStatements: Bool) {
        self.executor = executor
        self.preparesStatements = preparesStatements
    }

    /// - Parameter url: a connection URI or keyword string, as libpq reads it (Postgres documentation, 34.1.1).
    /// - Parameter preparesStatements: false where a pooler may give each statement another server connection.
    /// - Parameter mustWrite: a server that is a standby, or read only, is refused.
    /// - Parameter limits: of the server's own patience; nil: the server's settings, as a pooler needs it.
    package static func connect(
        to url: String, applicationName: String, preparesStatements: Bool = true, mustWrite: Bool = false,
        limits: SessionLimits? = nil, deadline: Deadline
    ) async throws -> Connection {
        let connection = Connection(
            executor: QueueExecutor(label: "postgres.connection"), preparesStatements: preparesStatements)
        do {
            try await connection.open(url, applicationName, deadline)
            if mustWrite { try await connection.refuseReadOnly(deadline) }
            if let limits { try await connection.query(limits.statement, limits.values, deadline: deadline) }
            return connection
        } catch {
            await connection.close()
            throw error
        }
    }

    package var isUsable: Bool {
        guard let handle else { return false }
        return PQstatus(handle) == CONNECTION_OK && !isBusy
    }

    /// Ends the connection at once; a statement under way throws.
    package func close() {
        guard let handle else { return }
        self.handle = nil
        readiness?.invalidate()
        readiness = nil
        PQfinish(handle)
    }

    isolated deinit {
        close()
    }

    // MARK: Connecting

    private func open(_ url: String, _ applicationName: String, _ deadline: Deadline) async throws {
        // Later keywords do not override what the URL says: `expand_dbname` puts the URL's own last.
        let settings = [
            ("application_name", applicationName), ("keepalives_idle", "30"), ("keepalives_interval", "10"),
            ("tcp_user_timeout", "30000"), ("client_encoding", "UTF8"), ("dbname", url),
        ]
        let keys = CStrings(settings.map(\.0))
        let values = CStrings(settings.map(\.1))
        guard let handle = PQconnectStartParams(keys.pointers, values.pointers, 1) else {
            throw PostgresError.connection("out of memory")
        }
        self.handle = handle
        guard PQstatus(handle) != CONNECTION_BAD else { throw connectionError() }
        var next = PGRES_POLLING_WRITING
        while next != PGRES_POLLING_OK {
            guard next != PGRES_POLLING_FAILED else { throw connectionError() }
            // The socket can be another one after each step (several hosts, several addresses).
            let step = SocketReadiness(descriptor: PQsocket(handle))
            let outcome = await step.wait(for: next == PGRES_POLLING_READING ? .read : .write, until: deadline)
            step.invalidate()
            guard self.handle != nil else { throw PostgresError.connection("closed while connecting") }
            switch outcome {
            case .ready: next = PQconnectPoll(handle)
            case .deadlineExceeded: throw PostgresError.deadlineExceeded(statement: "connect")
            case .cancelled: throw CancellationError()
            case .invalidated: throw PostgresError.connection("closed while connecting")
            }
        }
        PQsetnonblocking(handle, 1)
        // Notices go to stderr by default, and would break into the log.
        PQsetNoticeProcessor(handle, { _, _ in }, nil)
        readiness = SocketReadiness(descriptor: PQsocket(handle))
    }

    /// A server says by itself whether it is a standby or read only (Postgres documentation, 55.2.7), so a good one
    /// costs no round trip. A pooler may repeat what another server said long ago: a bad one is asked.
    private func refuseReadOnly(_ deadline: Deadline) async throws {
        func isOn(_ parameter: String) -> Bool {
            handle.flatMap { PQparameterStatus($0, parameter) }.map { String(cString: $0) } == "on"
        }
        let isSuspect = isOn("in_hot_standby") || isOn("default_transaction_read_only")
        guard isSuspect else { return }
        let writability = try Writability(try await query(Writability.statement, deadline: deadline))
        guard writability == .writable else { throw PostgresError.connection(writability.description) }
    }

    private func connectionError() -> PostgresError {
        guard let handle else { return .connection("closed") }
        let text = String(cString: PQerrorMessage(handle))
        let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmingPrefix { $0 == "\t" || $0 == " " } }
        return .connection(lines.isEmpty ? "the server closed the connection" : lines.joined(separator: " "))
    }

    // MARK: Statements

    /// Runs one statement.
    /// - Throws: `PostgresError`, or `CancellationError` when the task is cancelled; then the statement has been
    ///   cancelled on the server too (it may still have been committed).
    @discardableResult
    package func query(_ statement: Statement, _ values: [PostgresValue] = [], deadline: Deadline) async throws -> Rows
    {
        guard let handle else { throw PostgresError.connection("closed") }
        guard !isBusy else { throw PostgresError.unexpectedResult("\(statement.name): the connection is in use") }
        isBusy = true
        defer { isBusy = false }
        let isPrepared = statement.isPrepared && preparesStatements
        if isPrepared, !prepared.contains(statement.name) {
            let types = values.map(\.oid)
            guard PQsendPrepare(handle, statement.name, statement.sql, Int32(types.count), types) == 1 else {
                throw broken()
            }
            _ = try await answer(to: statement, deadline)
            prepared.insert(statement.name)
        }
        guard self.handle != nil, send(statement, values, isPrepared: isPrepared, on: handle) else { throw broken() }
        return try await answer(to: statement, deadline)
    }

    /// Runs a script of several statements, without parameters, in one transaction of its own unless it has its own.
    package func execute(script: String, name: String, deadline: Deadline) async throws {
        guard let handle else { throw PostgresError.connection("closed") }
        isBusy = true
        defer { isBusy = false }
        guard PQsendQuery(handle, script) == 1 else { throw broken() }
        _ = try await answer(to: Statement(name: name, sql: script, isPrepared: false), deadline)
    }

    private func send(
        _ statement: Statement, _ values: [PostgresValue], isPrepared: Bool, on handle: OpaquePointer
    ) -> Bool {
        var encoder = ParameterEncoder()
        for value in values { encoder.append(value) }
        let formats = [Int32](repeating: 1, count: values.count)
        let count = Int32(values.count)
        // libpq copies the values into its send buffer before it returns.
        return encoder.bytes.withUnsafeBytes { bytes in
            let start = bytes.bindMemory(to: CChar.self).baseAddress
            let pointers = encoder.ranges.map { range in range.flatMap { start?.advanced(by: $0.lowerBound) } }
            let lengths = encoder.ranges.map { Int32($0?.count ?? 0) }
            if isPrepared {
                return PQsendQueryPrepared(handle, statement.name, count, pointers, lengths, formats, 1) == 1
            }
            return PQsendQueryParams(handle, statement.sql, count, values.map(\.oid), pointers, lengths, formats, 1)
                == 1
        }
    }

    /// Sends what is buffered and reads until the statement's results are all here; the last one counts.
    private func answer(to statement: Statement, _ deadline: Deadline) async throws -> Rows {
        var limit = deadline
        var interruption: (any Error)?
        var rows = Rows(statement: statement.name, columns: [:], types: [], cells: [], bytes: [], affected: 0)
        var failure: StatementError?
        while true {
            guard let handle, let readiness else { throw interruption ?? PostgresError.connection("closed") }
            let unsent = PQflush(handle)
            guard unsent >= 0 else { throw interruption ?? broken() }
            if unsent == 0, PQisBusy(handle) == 0 {
                guard let result = PQgetResult(handle) else { break }
                defer { PQclear(result) }
                if PQresultStatus(result) == PGRES_FATAL_ERROR {
                    failure = StatementError(result: result, statement: statement.name)
                } else {
                    rows = Rows(result: result, statement: statement.name)
                }
                continue
            }
            // While output is stuck, input must be read too, or both sides wait for ever.
            let outcome =
                unsent == 1
                ? await waitBoth(readiness, until: limit)
                : await waitToRead(readiness, until: limit, interruption != nil)
            switch outcome {
            case .ready:
                guard let handle = self.handle, PQconsumeInput(handle) == 1 else { throw interruption ?? broken() }
            case .deadlineExceeded, .cancelled:
                guard interruption == nil else {
                    close()
                    throw interruption ?? CancellationError()
                }
                interruption =
                    outcome == .cancelled
                    ? CancellationError() : PostgresError.deadlineExceeded(statement: statement.name)
                cancelOnServer()
                limit = .after(Self.cancelGrace)
            case .invalidated:
                throw interruption ?? PostgresError.connection("closed")
            }
        }
        if let interruption { throw interruption }
        if let failure {
            if let handle, PQstatus(handle) != CONNECTION_OK { throw broken() }
            // The server's own cancellation for our deadline is reported above; 57P0x: it is going away.
            throw failure.sqlState.hasPrefix("57P")
                ? PostgresError.connection(failure.message) : PostgresError.statement(failure)
        }
        return rows
    }

    /// After a cancellation the rest is awaited in a task that is not cancelled, or the wait would end at once.
    private func waitToRead(
        _ readiness: SocketReadiness, until limit: Deadline, _ shielded: Bool
    ) async -> SocketReadiness.Outcome {
        guard shielded else { return await readiness.wait(for: .read, until: limit) }
        return await Task.detached { await readiness.wait(for: .read, until: limit) }.value
    }

    private func waitBoth(_ readiness: SocketReadiness, until limit: Deadline) async -> SocketReadiness.Outcome {
        await withTaskGroup(of: SocketReadiness.Outcome.self) { group in
            group.addTask { await readiness.wait(for: .write, until: limit) }
            group.addTask { await readiness.wait(for: .read, until: limit) }
            let first = await group.next() ?? .cancelled
            group.cancelAll()
            await group.waitForAll()
            return Task.isCancelled ? .cancelled : first
        }
    }

    /// A cancellation makes a connection of its own and blocks until the server has taken it, so not on our queue.
    private func cancelOnServer() {
        guard let handle, let cancellation = lgw_make_cancellation(handle) else { return }
        let bits = UInt(bitPattern: cancellation)
        BlockingCall.start { lgw_send_cancellation(UnsafeMutableRawPointer(bitPattern: bits)) }
    }

    private func broken() -> PostgresError {
        let error = connectionError()
        close()
        return error
    }

    // MARK: Notifications

    /// The next notifications (Postgres documentation, 34.9); waits until there is at least one.
    /// - Throws: `PostgresError.connection` when the connection breaks, `CancellationError`.
    func notifications() async throws -> [Notification] {
        while true {
            guard let handle, let readiness else { throw PostgresError.connection("closed") }
            guard PQconsumeInput(handle) == 1 else { throw broken() }
            var found: [Notification] = []
            while let notify = PQnotifies(handle) {
                found.append(
                    Notification(
                        channel: String(cString: notify.pointee.relname),
                        payload: String(cString: notify.pointee.extra)))
                PQfreemem(notify)
            }
            if !found.isEmpty { return found }
            switch await readiness.wait(for: .read, until: nil) {
            case .ready: continue
            case .cancelled: throw CancellationError()
            case .deadlineExceeded, .invalidated: throw PostgresError.connection("closed")
            }
        }
    }
}

/// C strings that live as long as the object; `pointers` ends with NULL.
private final class CStrings {
    let pointers: [UnsafePointer<CChar>?]
    private let storage: [UnsafeMutablePointer<CChar>?]

    init(_ strings: [String]) {
        storage = strings.map { strdup($0) }
        pointers = storage.map { $0.map { UnsafePointer($0) } } + [nil]
    }

    deinit {
        for pointer in storage { free(pointer) }
    }
}
