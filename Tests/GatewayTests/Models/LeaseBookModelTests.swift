import AsyncRuntime
import Lark
import Testing

@testable import Gateway
@testable import Store

/// The book in a world where whatever it asks for takes its time, fails, or comes too late.
@Suite("Models: the lease book")
struct LeaseBookModelTests {
    @Test(
        "any order of scans, looks, losses, handovers, reloads and answers: one connection per installation, each with a lease; in the end all are connected"
    )
    func histories() async throws {
        try await ModelSeeds.tryAll(1_000) { _, random in
            var world = LeaseWorld(installations: Int.random(in: 1...4, using: &random))
            for _ in 0..<150 { try world.step(&random) }
            try world.settle(&random)
        }
    }

    @Test(
        "any order, and a stop in it: nothing is connected after it, all connections end, each lease is released once")
    func stops() async throws {
        try await ModelSeeds.tryAll(1_000) { _, random in
            var world = LeaseWorld(installations: Int.random(in: 1...4, using: &random))
            for _ in 0..<Int.random(in: 1...100, using: &random) { try world.step(&random) }
            try world.stop(&random)
        }
    }
}

/// The database, the connections, and what is under way between them and the book.
private struct LeaseWorld {
    private struct Installation {
        enum Holder { case us, another, nobody }

        var holder = Holder.nobody
        var generation: Int64 = 0
        var isActive = true
        var isWanted = false
        /// Of the row; the secret follows from it.
        var revision: Int64 = 1
        /// Its key is not here.
        var isLocked = false
    }

    /// What is under way: first it happens, then the book hears of it.
    private enum Work {
        case take(used: [InstallationID])
        case taken([InstallationRow])
        case restore([Lease])
        case look(believed: [Lease])
        case looked([HeldLease], believed: [Lease])
        case end(LeaseBook.Connection)
        case release(Lease)
        case released(Lease, wasOurs: Bool?)
        case load([InstallationID])
        case loaded([InstallationRow])
    }

    /// One handover at a time: others wait for their turn.
    private var book = LeaseBook(maxHandovers: 1)
    private var database: [InstallationID: Installation]
    private var underWay: [Work] = []
    private var isScanning = false
    private var isLooking = false
    /// Open, with the secret that each has.
    private var connections: [LeaseBook.Connection: [UInt8]] = [:]
    /// Told to close at once, or in order.
    private var closing: Set<LeaseBook.Connection> = []
    /// Under which we write.
    private var owned: Set<Lease> = []
    /// How often the database gave each away for us.
    private var releases: [Lease: Int] = [:]
    private var isStopped = false

    init(installations: Int) {
        database = Dictionary(
            uniqueKeysWithValues: (1...installations).map { (InstallationID(rawValue: Int64($0)), Installation()) })
    }

    private var ids: [InstallationID] { database.keys.sorted() }

    // MARK: A history

    mutating func step(_ random: inout SeededGenerator) throws {
        switch Int.random(in: 0..<14, using: &random) {
        case 0: startScan()
        case 1: startLook()
        case 2...8:
            guard let index = underWay.indices.randomElement(using: &random) else { return startScan() }
            try carryOn(underWay.remove(at: index), fails: random.happens(oneIn: 8))
        case 9: try change(random.pick(ids), &random)
        case 10: database[random.pick(ids)]?.isWanted = random.happens(oneIn: 2)
        case 11:
            // The fence tells, some time.
            guard let lease = book.leases.first(where: { !isOurs($0) }) else { return }
            try receive(.lost(lease, reason: "fenced"))
        case 12: try receive(.reloaded(changed: random.happens(oneIn: 2) ? [appID(random.pick(ids))] : []))
        default: if random.happens(oneIn: 20) { try receive(.notRenewedInTime) }
        }
    }

    private mutating func change(_ id: InstallationID, _ random: inout SeededGenerator) throws {
        switch Int.random(in: 0..<5, using: &random) {
        case 0: database[id]?.isActive.toggle()
        case 1:
            database[id]?.holder = .another
            database[id]?.generation += 1
        case 2: if database[id]?.holder == .another { database[id]?.holder = .nobody }
        case 3: database[id]?.isLocked.toggle()
        default: database[id]?.revision += 1
        }
    }

    private mutating func startScan() {
        guard !isScanning, !isStopped else { return }
        isScanning = true
        underWay.append(.take(used: book.leases.map(\.installation)))
    }

    private mutating func startLook() {
        guard !isLooking else { return }
        isLooking = true
        underWay.append(.look(believed: book.leases))
    }

    private mutating func carryOn(_ work: Work, fails: Bool) throws {
        switch work {
        case .take(let used):
            let rows = take(used)
            if fails { isScanning = false } else { underWay.append(.taken(rows)) }
        case .taken(let rows):
            underWay.append(.restore(rows.map(\.lease)))
            try receive(.acquired(rows))
        case .restore(let leases):
            isScanning = false
            try receive(fails ? .windowsNotRestored(leases) : .windowsRestored(leases))
            if !fails { try receive(.scanned(configured: ids.map(appID))) }
        case .look(let believed):
            let held = ids.compactMap { id -> HeldLease? in
                guard let row = database[id], row.holder == .us, row.isActive else { return nil }
                return HeldLease(lease: lease(id), revision: row.revision, isWanted: row.isWanted)
            }
            if fails { isLooking = false } else { underWay.append(.looked(held, believed: believed)) }
        case .looked(let held, let believed):
            isLooking = false
            try receive(.held(held, believed: believed))
        case .end(let connection):
            connections[connection] = nil
            try receive(.ended(connection))
        case .release(let lease):
            // It may fail before it is done, or after.
            let isDone = !fails || lease.generation.isMultiple(of: 2)
            let wasOurs = isDone && database[lease.installation]?.holder == .us && isOurs(lease)
            if wasOurs { giveAway(lease) }
            underWay.append(.released(lease, wasOurs: fails ? nil : wasOurs))
        case .released(let lease, let wasOurs):
            try receive(wasOurs.map { .released(lease, wasOurs: $0) } ?? .notReleased(lease))
        case .load(let ids):
            let rows = ids.filter { database[$0]?.isActive == true }.map { row($0) }
            if fails { try receive(.notLoaded(ids)) } else { underWay.append(.loaded(rows)) }
        case .loaded(let rows):
            for row in rows {
                let open = connections.first { $0.key.lease.installation == row.lease.installation }
                let isLocked = database[row.lease.installation]?.isLocked ?? true
                try receive(.loaded(row, isInUse: open?.value == row.sealedSecret && !isLocked, isLocked: isLocked))
            }
        }
    }

    // MARK: The database

    private func lease(_ id: InstallationID) -> Lease {
        Lease(installation: id, generation: database[id]?.generation ?? 0)
    }

    private func isOurs(_ lease: Lease) -> Bool {
        database[lease.installation]?.holder == .us && self.lease(lease.installation) == lease
    }

    private func appID(_ id: InstallationID) -> String { "cli_\(id.rawValue)" }

    private func row(_ id: InstallationID) -> InstallationRow {
        let revision = database[id]?.revision ?? 0
        return InstallationRow(
            lease: lease(id), appID: appID(id), revision: revision, domain: "https://x",
            // Some changes are none of the secret.
            sealedSecret: [UInt8(truncatingIfNeeded: revision / 2)], sealedKeyID: nil, bot: BotIdentity())
    }

    private mutating func take(_ used: [InstallationID]) -> [InstallationRow] {
        ids.compactMap { id in
            guard let row = database[id], row.isActive, row.holder != .another, !used.contains(id) else { return nil }
            database[id]?.holder = .us
            database[id]?.generation += 1
            database[id]?.isWanted = false
            return self.row(id)
        }
    }

    private mutating func giveAway(_ lease: Lease) {
        database[lease.installation]?.holder = .nobody
        releases[lease, default: 0] += 1
    }

    // MARK: What the book says

    private mutating func receive(_ event: LeaseBook.Event) throws {
        for action in book.receive(event) { try perform(action) }
        for connection in connections.keys {
            try Deviation.unless(
                owned.contains(connection.lease) || closing.contains(connection),
                "\(connection) goes on without a lease, after \(event)")
        }
        try Deviation.unless(isStopped || Set(book.leases) == owned, "\(owned) owned, and \(book.leases) in the book")
    }

    private mutating func perform(_ action: LeaseBook.Action) throws {
        switch action {
        case .own(let lease):
            try Deviation.unless(!owned.contains { $0.installation == lease.installation }, "\(lease) owned besides")
            owned.insert(lease)
        case .disown(let lease):
            try Deviation.unless(owned.remove(lease) != nil, "\(lease) disowned twice")
        case .connect(let row, let connection):
            try Deviation.unless(!isStopped, "\(connection) made after the stop")
            try Deviation.unless(
                owned.contains(row.lease) && connection.lease == row.lease, "\(connection) without a lease")
            try Deviation.unless(
                !connections.keys.contains { $0.lease.installation == row.lease.installation }, "two: \(connection)")
            if database[row.lease.installation]?.isLocked == true {
                try receive(.secretMissing(connection))
            } else {
                connections[connection] = row.sealedSecret ?? []
            }
        case .end(let connection), .abort(let connection):
            try Deviation.unless(connections[connection] != nil, "\(connection) is not open")
            closing.insert(connection)
            underWay.append(.end(connection))
        case .stopReceiving(let connection):
            try Deviation.unless(connections[connection] != nil, "\(connection) is not open")
        case .release(let lease):
            try Deviation.unless(!isStopped, "\(lease) released by itself after the stop")
            try Deviation.unless(
                !connections.keys.contains { $0.lease == lease }, "\(lease) released under its connection")
            underWay.append(.release(lease))
        case .load(let installations): underWay.append(.load(installations))
        case .scan, .log: break
        }
    }

    // MARK: Ends of a history

    private mutating func finishAll(_ random: inout SeededGenerator, fails: Bool = false) throws {
        while let index = underWay.indices.randomElement(using: &random) {
            try carryOn(underWay.remove(at: index), fails: fails && random.happens(oneIn: 8))
        }
    }

    /// Nothing changes any more, and nothing fails.
    mutating func settle(_ random: inout SeededGenerator) throws {
        for id in ids {
            database[id]?.isWanted = false
            database[id]?.isActive = true
            database[id]?.isLocked = false
            if database[id]?.holder == .another { database[id]?.holder = .nobody }
        }
        for _ in 0..<4 {
            try finishAll(&random)
            try receive(.reloaded(changed: []))
            startLook()
            startScan()
        }
        try finishAll(&random)
        for id in ids {
            let open = connections.filter { $0.key.lease.installation == id }
            try Deviation.unless(
                open.map(\.key.lease) == [lease(id)] && open.values.first == row(id).sealedSecret,
                "\(lease(id)) at revision \(database[id]?.revision ?? 0) has \(open)")
        }
        try Deviation.unless(Set(book.leases) == Set(ids.map { lease($0) }), "\(book.leases) in the end")
    }

    mutating func stop(_ random: inout SeededGenerator) throws {
        isStopped = true
        try receive(.stopped)
        for _ in 0..<Int.random(in: 0...10, using: &random) { try step(&random) }
        let ours = ids.filter { database[$0]?.holder == .us }.map { lease($0) }
        let before = releases
        try receive(.closed)
        try finishAll(&random, fails: true)
        try Deviation.unless(connections.isEmpty, "\(connections.keys) open after the end")
        // As the gateway does, in one statement.
        for id in ids where database[id]?.holder == .us { giveAway(lease(id)) }
        for lease in ours {
            try Deviation.unless(before[lease] == nil && releases[lease, default: 0] <= 1, "\(lease) released twice")
            try Deviation.unless(
                releases[lease] == 1 || lease != self.lease(lease.installation), "\(lease) not released")
        }
        try Deviation.unless(releases.values.allSatisfy { $0 == 1 }, "\(releases)")
    }
}
