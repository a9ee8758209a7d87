import AsyncRuntime

/// A fixed number of connections, lent to one caller at a time, first come first served. Waiting obeys the caller's
/// deadline and cancellation.
///
/// Connections that were made before one of them broke, or heard that its server takes no writes, are a generation, and
/// end with it: they lead to the same server, which is perhaps not the one that its address means now. Idle ones are
/// closed at once, those lent out when they come back. Others are made when they are needed.
package actor Pool {
    private let url: String
    private let applicationName: String
    private let preparesStatements: Bool
    private let mustWrite: Bool
    private let limits: SessionLimits?
    private let generationEnded: @Sendable () -> Void
    private var generation = 0
    private var idle: [Member] = []
    /// Connections lent out or being made.
    private var lent = 0
    private let size: Int
    private var waiters: [(id: Int, continuation: CheckedContinuation<Lease?, Never>)] = []
    private var nextWaiter = 0
    private var isClosed = false

    private struct Member: Sendable {
        let connection: Connection
        /// Of the moment at which it began to be made.
        let generation: Int
    }

    /// The right to hold one connection: one that exists, or one that has to be made.
    private enum Lease: Sendable { case existing(Member), vacancy }

    /// - Parameter preparesStatements: false where a pooler may give each statement another server connection.
    /// - Parameter mustWrite: a server that is a standby, or read only, counts as away.
    /// - Parameter limits: of the server's own patience with each session; nil: the server's settings.
    /// - Parameter generationEnded: called when a generation ends; for what holds a connection of its own to the same
    ///   server.
    package init(
        url: String, size: Int, applicationName: String = "lark-gateway", preparesStatements: Bool = true,
        mustWrite: Bool = false, limits: SessionLimits? = nil, generationEnded: @escaping @Sendable () -> Void = {}
    ) {
        self.url = url
        self.preparesStatements = preparesStatements
        self.mustWrite = mustWrite
        self.limits = limits
        self.generationEnded = generationEnded
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
        let member = try await acquire(deadline)
        do {
            let result = try await body(member.connection)
            await release(member)
            return result
        } catch {
            await release(member, after: error)
            throw error
        }
    }

    /// Closes every connection, also those lent out when they come back; who waits gets an error.
    package func close() async {
        isClosed = true
        for waiter in waiters { waiter.continuation.resume(returning: nil) }
        waiters = []
        await closeIdle()
    }

    private func acquire(_ deadline: Deadline) async throws -> Member {
        guard !isClosed else { throw PostgresError.connection("the pool is closed") }
        let lease: Lease
        if let member = idle.popLast() {
            lent += 1
            lease = .existing(member)
        } else if lent < size {
            lent += 1
            lease = .vacancy
        } else {
            lease = try await waitForLease(deadline)
        }
        if case .existing(let member) = lease {
            if await member.connection.isUsable, member.generation == generation { return member }
            await member.connection.close()
        }
        let generation = generation
        do {
            let connection = try await Connection.connect(
                to: url, applicationName: applicationName, preparesStatements: preparesStatements,
                mustWrite: mustWrite, limits: limits, deadline: deadline)
            return Member(connection: connection, generation: generation)
        } catch {
            handOn(.vacancy)
            throw error
        }
    }

    private func waitForLease(_ deadline: Deadline) async throws -> Lease {
        nextWaiter += 1
        let id = nextWaiter
        let timer = Task {
            await Alarm.wait(until: deadline)
            if !Task.isCancelled { self.giveUp(id) }
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

    private func release(_ member: Member, after error: (any Error)? = nil) async {
        if let error {
            // One that was given up, because no answer came, is broken too.
            let isUsable = await member.connection.isUsable
            if !isUsable || (error as? PostgresError)?.endsTheGeneration == true { await endGeneration(of: member) }
        }
        guard !isClosed, member.generation == generation else {
            await member.connection.close()
            return handOn(.vacancy)
        }
        handOn(.existing(member))
    }

    /// Of several that break together the first one ends it.
    private func endGeneration(of member: Member) async {
        guard member.generation == generation else { return }
        generation += 1
        generationEnded()
        await closeIdle()
    }

    private func closeIdle() async {
        let members = idle
        idle = []
        for member in members { await member.connection.close() }
    }

    private func handOn(_ lease: Lease) {
        if !waiters.isEmpty {
            waiters.removeFirst().continuation.resume(returning: lease)
            return
        }
        lent -= 1
        if case .existing(let member) = lease { idle.append(member) }
    }
}
