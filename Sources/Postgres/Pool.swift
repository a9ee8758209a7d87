import AsyncRuntime

/// A fixed number of connections, lent to one caller at a time, first come first served. A broken one is replaced on
/// its next use. Waiting obeys the caller's deadline and cancellation.
package actor Pool {
    private let url: String
    private let applicationName: String
    private let preparesStatements: Bool
    private var idle: [Connection] = []
    /// Connections lent out or being made.
    private var lent = 0
    private let size: Int
    private var waiters: [(id: Int, continuation: CheckedContinuation<Lease?, Never>)] = []
    private var nextWaiter = 0
    private var isClosed = false

    /// The right to hold one connection: one that exists, or one that has to be made.
    private enum Lease: Sendable { case existing(Connection), vacancy }

    /// - Parameter preparesStatements: false where a pooler may give each statement another server connection.
    package init(
        url: String, size: Int, applicationName: String = "lark-gateway", preparesStatements: Bool = true
    ) {
        self.url = url
        self.preparesStatements = preparesStatements
        self.size = max(1, size)
        self.applicationName = applicationName
    }

    /// Runs one statement on any connection.
    @discardableResult
    package func query(_ statement: Statement, _ values: [PostgresValue] = [], deadline: Deadline) async throws -> Rows
    {
        try await withConnection(deadline: deadline) { try await $0.query(statement, values, deadline: deadline) }
    }

    package func withConnection<T: Sendable>(
        deadline: Deadline, _ body: @Sendable (Connection) async throws -> T
    ) async throws -> T {
        let connection = try await acquire(deadline)
        do {
            let result = try await body(connection)
            await release(connection)
            return result
        } catch {
            await release(connection)
            throw error
        }
    }

    /// Closes every connection, also those lent out when they come back; who waits gets an error.
    package func close() async {
        isClosed = true
        for waiter in waiters { waiter.continuation.resume(returning: nil) }
        waiters = []
        for connection in idle { await connection.close() }
        idle = []
    }

    private func acquire(_ deadline: Deadline) async throws -> Connection {
        guard !isClosed else { throw PostgresError.connection("the pool is closed") }
        let lease: Lease
        if let connection = idle.popLast() {
            lent += 1
            lease = .existing(connection)
        } else if lent < size {
            lent += 1
            lease = .vacancy
        } else {
            lease = try await waitForLease(deadline)
        }
        if case .existing(let connection) = lease {
            if await connection.isUsable { return connection }
            await connection.close()
        }
        do {
            return try await Connection.connect(
                to: url, applicationName: applicationName, preparesStatements: preparesStatements, deadline: deadline)
        } catch {
            handOn(.vacancy)
            throw error
        }
    }

    private func waitForLease(_ deadline: Deadline) async throws -> Lease {
        nextWaiter += 1
        let id = nextWaiter
        let timer = Task {
            try await ContinuousClock().sleep(until: deadline.instant, tolerance: nil)
            self.giveUp(id)
        }
        defer { timer.cancel() }
        let lease: Lease? = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Lease?, Never>) in
                guard !Task.isCancelled else { return continuation.resume(returning: nil) }
                waiters.append((id, continuation))
            }
        } onCancel: {
            Task { await self.giveUp(id) }
        }
        guard let lease else {
            try Task.checkCancellation()
            throw isClosed
                ? PostgresError.connection("the pool is closed")
                : PostgresError.deadlineExceeded(statement: "waiting for a free connection")
        }
        return lease
    }

    private func giveUp(_ id: Int) {
        guard let index = waiters.firstIndex(where: { $0.id == id }) else { return }
        waiters.remove(at: index).continuation.resume(returning: nil)
    }

    private func release(_ connection: Connection) async {
        guard !isClosed else { return await connection.close() }
        handOn(.existing(connection))
    }

    private func handOn(_ lease: Lease) {
        if !waiters.isEmpty {
            waiters.removeFirst().continuation.resume(returning: lease)
            return
        }
        lent -= 1
        if case .existing(let connection) = lease { idle.append(connection) }
    }
}
