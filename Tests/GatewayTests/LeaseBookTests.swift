import Lark
import Testing

@testable import Gateway
@testable import Store

private typealias Connection = LeaseBook.Connection

/// A book that an expectation can write into.
private final class Book {
    private var book = LeaseBook()

    var leases: [Lease] { book.leases }

    func receive(_ event: LeaseBook.Event) -> [LeaseBook.Action] { book.receive(event) }
}

/// What happened, and what is to be done then, line by line.
@Suite("What this replica does with its leases")
struct LeaseBookTests {
    private func lease(_ installation: Int64 = 1, generation: Int64 = 1) -> Lease {
        Lease(installation: InstallationID(rawValue: installation), generation: generation)
    }

    private func row(_ lease: Lease, revision: Int64 = 1) -> InstallationRow {
        InstallationRow(
            lease: lease, appID: "cli_\(lease.installation.rawValue)", revision: revision, domain: "https://x",
            sealedSecret: nil, sealedKeyID: nil, bot: BotIdentity())
    }

    private func held(_ lease: Lease, revision: Int64 = 1, isWanted: Bool = false) -> HeldLease {
        HeldLease(lease: lease, revision: revision, isWanted: isWanted)
    }

    /// A book with these leases, each connected: the first one's connection has the number 1.
    private func connected(_ leases: Lease...) -> Book { connected(leases) }

    private func connected(_ leases: [Lease]) -> Book {
        let book = Book()
        _ = book.receive(.acquired(leases.map { row($0) }))
        _ = book.receive(.windowsRestored(leases))
        return book
    }

    /// The lease is gone: what a loss does.
    private func lost(_ lease: Lease, _ reason: String, aborts connection: Connection? = nil) -> [LeaseBook.Action] {
        [.disown(lease)] + (connection.map { [.abort($0)] } ?? [])
            + [.log(.lost(lease, appID: "cli_\(lease.installation.rawValue)", reason: reason)), .scan]
    }

    private static let elsewhere = "another replica holds it, or it was revoked"

    // MARK: Acquiring

    @Test("what is acquired is ours at once, and connected when its open windows are back")
    func acquired() {
        let book = Book()
        #expect(
            book.receive(.acquired([row(lease())])) == [.own(lease()), .log(.acquired(lease(), appID: "cli_1"))])
        #expect(book.leases == [lease()])
        #expect(
            book.receive(.windowsRestored([lease()]))
                == [.connect(row(lease()), as: Connection(lease: lease(), number: 1))])
        #expect(book.receive(.windowsRestored([lease()])) == [])
        #expect(book.receive(.held([held(lease())], believed: [lease()])) == [])
    }

    @Test("windows that can't be read back: no connection, and the next scan takes the lease again")
    func notRestored() {
        let book = Book()
        _ = book.receive(.acquired([row(lease())]))
        #expect(book.receive(.windowsNotRestored([lease()])) == [.disown(lease())])
        #expect(book.leases == [])
        let again = lease(generation: 2)
        _ = book.receive(.acquired([row(again)]))
        #expect(
            book.receive(.windowsRestored([again])) == [.connect(row(again), as: Connection(lease: again, number: 1))])
    }

    @Test("a lease that is lost while its connection is being made gets none")
    func lostWhileRestoring() {
        let book = Book()
        _ = book.receive(.acquired([row(lease())]))
        #expect(book.receive(.held([], believed: [lease()])) == lost(lease(), Self.elsewhere))
        #expect(book.receive(.windowsRestored([lease()])) == [])
        #expect(book.leases == [])
    }

    @Test("an installation that comes back waits for the end of the connection that it had: there are never two")
    func reacquired() {
        let first = Connection(lease: lease(), number: 1)
        let book = connected(lease())
        #expect(book.receive(.lost(lease(), reason: "fenced")) == lost(lease(), "fenced", aborts: first))
        let again = lease(generation: 2)
        _ = book.receive(.acquired([row(again)]))
        #expect(book.receive(.windowsRestored([again])) == [])
        #expect(book.receive(.ended(first)) == [.connect(row(again), as: Connection(lease: again, number: 2))])
        // The same end, told by who ended it in order.
        #expect(book.receive(.ended(first)) == [])
    }

    @Test("what is acquired while we ask for what we hold is not lost because the answer does not know it")
    func acquiredWhileAsking() {
        let book = connected(lease(1))
        let believed = book.leases
        _ = book.receive(.acquired([row(lease(2))]))
        #expect(book.receive(.held([held(lease(1))], believed: believed)) == [])
        #expect(book.leases == [lease(1), lease(2)])
    }

    @Test("what other replicas hold, and what nobody can open, is said once, and again when it changes")
    func saidOnce() {
        let book = connected(lease(2))
        let apps = ["cli_3", "cli_2", "cli_1"]
        #expect(book.receive(.scanned(configured: apps)) == [.log(.heldElsewhere(appIDs: ["cli_1", "cli_3"]))])
        #expect(book.receive(.scanned(configured: apps)) == [])
        _ = book.receive(.acquired([row(lease(1))]))
        #expect(book.receive(.scanned(configured: apps)) == [.log(.heldElsewhere(appIDs: ["cli_3"]))])
        #expect(
            book.receive(.secretsLocked(["cli_8": "k1", "cli_7": "k1"]))
                == [.log(.secretLocked(appID: "cli_7", keyID: "k1")), .log(.secretLocked(appID: "cli_8", keyID: "k1"))])
        #expect(book.receive(.secretsLocked(["cli_8": "k1"])) == [])
        #expect(
            book.receive(.secretsLocked(["cli_8": "k2", "cli_7": "k1"]))
                == [.log(.secretLocked(appID: "cli_7", keyID: "k1")), .log(.secretLocked(appID: "cli_8", keyID: "k2"))])
    }

    // MARK: Holding

    @Test("leases that can't be renewed in time are given up, all of them, also one that is being handed over")
    func notRenewed() {
        let book = connected(lease(1), lease(2))
        let reason = "it could not be renewed in time"
        let (first, second) = (Connection(lease: lease(1), number: 1), Connection(lease: lease(2), number: 2))
        #expect(
            book.receive(.held([held(lease(1)), held(lease(2), isWanted: true)], believed: book.leases))
                == [.end(second)])
        #expect(
            book.receive(.notRenewedInTime)
                == lost(lease(1), reason, aborts: first) + lost(lease(2), reason, aborts: second))
        #expect(book.receive(.ended(second)) == [])
        #expect(book.receive(.ended(first)) == [])
    }

    @Test("results for a lease generation that is no longer ours change nothing")
    func olderGeneration() {
        let (old, new) = (lease(generation: 1), lease(generation: 2))
        let connection = Connection(lease: new, number: 2)
        let book = connected(old)
        _ = book.receive(.lost(old, reason: "fenced"))
        _ = book.receive(.ended(Connection(lease: old, number: 1)))
        _ = book.receive(.acquired([row(new)]))
        #expect(book.receive(.windowsRestored([old])) == [])
        #expect(book.receive(.windowsRestored([new])) == [.connect(row(new), as: connection)])
        #expect(book.receive(.acquired([row(old)])) == [])
        #expect(book.receive(.windowsNotRestored([old])) == [])
        #expect(book.receive(.lost(old, reason: "fenced")) == [])
        #expect(book.receive(.held([held(new)], believed: [old])) == [])
        #expect(book.receive(.held([held(old, revision: 9, isWanted: true)], believed: [])) == [])
        #expect(book.receive(.loaded(row(old, revision: 9), isInUse: false)) == [])
        #expect(book.receive(.ended(Connection(lease: old, number: 1))) == [])
        #expect(book.receive(.secretMissing(Connection(lease: old, number: 1))) == [])
        #expect(book.receive(.released(old, wasOurs: true)) == [])
        #expect(book.receive(.notReleased(old)) == [])
        #expect(book.leases == [new])
    }

    @Test("a lease that was taken anew before its loss was seen replaces the older one, whose connection ends first")
    func overtaken() {
        let (old, new) = (lease(generation: 1), lease(generation: 2))
        let first = Connection(lease: old, number: 1)
        let book = connected(old)
        #expect(
            book.receive(.acquired([row(new)]))
                == [.disown(old), .abort(first), .own(new), .log(.acquired(new, appID: "cli_1"))])
        #expect(book.receive(.windowsRestored([new])) == [])
        #expect(book.receive(.ended(first)) == [.connect(row(new), as: Connection(lease: new, number: 2))])
    }

    // MARK: Handing over

    @Test("a handover ends the connection, then gives the lease away, and only then forgets it")
    func handover() {
        let book = connected(lease())
        let connection = Connection(lease: lease(), number: 1)
        let wanted = LeaseBook.Event.held([held(lease(), isWanted: true)], believed: [lease()])
        #expect(book.receive(wanted) == [.end(connection)])
        #expect(book.receive(wanted) == [])
        #expect(book.receive(.ended(connection)) == [.release(lease())])
        #expect(book.receive(wanted) == [])
        // A scan would take it again.
        #expect(book.leases == [lease()])
        #expect(
            book.receive(.released(lease(), wasOurs: true))
                == [.disown(lease()), .log(.handedOver(lease(), appID: "cli_1"))])
        #expect(book.leases == [])
    }

    @Test("a handover that the database refuses: the next scan takes the lease again, and it is connected")
    func refusedHandover() {
        let book = connected(lease())
        _ = book.receive(.held([held(lease(), isWanted: true)], believed: [lease()]))
        _ = book.receive(.ended(Connection(lease: lease(), number: 1)))
        #expect(book.receive(.notReleased(lease())) == [.disown(lease()), .scan])
        let again = lease(generation: 2)
        _ = book.receive(.acquired([row(again)]))
        #expect(
            book.receive(.windowsRestored([again])) == [.connect(row(again), as: Connection(lease: again, number: 2))])
    }

    @Test("a lease that is lost while it is handed over is not given away: it is another's")
    func lostWhileHandedOver() {
        let book = connected(lease())
        let connection = Connection(lease: lease(), number: 1)
        _ = book.receive(.held([held(lease(), isWanted: true)], believed: [lease()]))
        #expect(book.receive(.held([], believed: [lease()])) == lost(lease(), Self.elsewhere, aborts: connection))
        #expect(book.receive(.ended(connection)) == [])
        #expect(book.receive(.ended(connection)) == [])
    }

    @Test(
        "a reload that drops an app while it is handed over: the lease is lost, and whatever the release says is late")
    func droppedWhileHandedOver() {
        let book = connected(lease())
        let connection = Connection(lease: lease(), number: 1)
        _ = book.receive(.held([held(lease(), isWanted: true)], believed: [lease()]))
        // Its credentials are those of no connection that will be made again.
        #expect(book.receive(.reloaded(changed: ["cli_1"])) == [.load([lease().installation])])
        #expect(book.receive(.loaded(row(lease(), revision: 2), isInUse: false)) == [])
        #expect(book.receive(.ended(connection)) == [.release(lease())])
        #expect(book.receive(.held([], believed: [lease()])) == lost(lease(), Self.elsewhere))
        #expect(book.receive(.released(lease(), wasOurs: true)) == [])
    }

    @Test("twenty are handed over at a time; who is lost makes room, and is passed over where it waits")
    func handoversInTurn() {
        let leases = (1...23).map { lease(Int64($0)) }
        let book = connected(leases)
        func connection(_ number: Int) -> Connection { Connection(lease: leases[number - 1], number: number) }
        #expect(
            book.receive(.held(leases.map { held($0, isWanted: true) }, believed: leases))
                == (1...20).map { .end(connection($0)) })
        #expect(book.receive(.lost(leases[20], reason: "x")) == lost(leases[20], "x", aborts: connection(21)))
        #expect(
            book.receive(.lost(leases[0], reason: "x"))
                == lost(leases[0], "x", aborts: connection(1)) + [.end(connection(22))])
        #expect(book.receive(.ended(connection(2))) == [.release(leases[1])])
        #expect(
            book.receive(.released(leases[1], wasOurs: true))
                == [.disown(leases[1]), .log(.handedOver(leases[1], appID: "cli_2")), .end(connection(23))])
    }

    // MARK: Credentials

    @Test("new credentials: the connection ends in order, and another one is made under the same lease")
    func renewed() {
        let book = connected(lease())
        let (first, second) = (Connection(lease: lease(), number: 1), Connection(lease: lease(), number: 2))
        #expect(
            book.receive(.held([held(lease(), revision: 2)], believed: [lease()])) == [.load([lease().installation])])
        #expect(book.receive(.loaded(row(lease(), revision: 2), isInUse: false)) == [.end(first)])
        #expect(
            book.receive(.ended(first))
                == [.log(.credentialsChanged(appID: "cli_1")), .connect(row(lease(), revision: 2), as: second)])
        #expect(book.receive(.held([held(lease(), revision: 2)], believed: [lease()])) == [])
    }

    @Test("a change that is not one of the credentials leaves the connection alone, and is looked at once")
    func unchanged() {
        let book = connected(lease())
        _ = book.receive(.held([held(lease(), revision: 2)], believed: [lease()]))
        #expect(book.receive(.loaded(row(lease(), revision: 2), isInUse: true)) == [])
        #expect(book.receive(.held([held(lease(), revision: 2)], believed: [lease()])) == [])
    }

    @Test("credentials that change once more while a connection is renewed: the next one has the newest")
    func changedTwice() {
        let book = connected(lease())
        let (first, second) = (Connection(lease: lease(), number: 1), Connection(lease: lease(), number: 2))
        _ = book.receive(.loaded(row(lease(), revision: 2), isInUse: false))
        #expect(
            book.receive(.held([held(lease(), revision: 3)], believed: [lease()])) == [.load([lease().installation])])
        #expect(book.receive(.loaded(row(lease(), revision: 3), isInUse: false)) == [])
        // Read before the newest change, and answered after it.
        #expect(book.receive(.loaded(row(lease(), revision: 2), isInUse: false)) == [])
        #expect(
            book.receive(.ended(first))
                == [.log(.credentialsChanged(appID: "cli_1")), .connect(row(lease(), revision: 3), as: second)])
        #expect(book.receive(.loaded(row(lease(), revision: 2), isInUse: false)) == [])
    }

    @Test("credentials that can't be read now are read at the next look")
    func notLoaded() {
        let book = connected(lease())
        #expect(book.receive(.reloaded(changed: ["cli_1", "cli_9"])) == [.load([lease().installation])])
        #expect(book.receive(.notLoaded([lease().installation])) == [])
        #expect(book.receive(.held([held(lease())], believed: [lease()])) == [.load([lease().installation])])
        #expect(book.receive(.loaded(row(lease()), isInUse: true)) == [])
        #expect(book.receive(.held([held(lease())], believed: [lease()])) == [])
    }

    @Test("a handover that is asked for while credentials are renewed comes after that, with the next look")
    func wantedWhileRenewed() {
        let book = connected(lease())
        let (first, second) = (Connection(lease: lease(), number: 1), Connection(lease: lease(), number: 2))
        let wanted = LeaseBook.Event.held([held(lease(), revision: 2, isWanted: true)], believed: [lease()])
        _ = book.receive(.loaded(row(lease(), revision: 2), isInUse: false))
        #expect(book.receive(wanted) == [])
        #expect(
            book.receive(.ended(first))
                == [.log(.credentialsChanged(appID: "cli_1")), .connect(row(lease(), revision: 2), as: second)])
        #expect(book.receive(wanted) == [.end(second)])
        #expect(book.receive(.ended(second)) == [.release(lease())])
    }

    @Test("a lease that is lost while its credentials are renewed is not connected again")
    func lostWhileRenewed() {
        let book = connected(lease())
        let connection = Connection(lease: lease(), number: 1)
        _ = book.receive(.loaded(row(lease(), revision: 2), isInUse: false))
        #expect(book.receive(.lost(lease(), reason: "fenced")) == lost(lease(), "fenced", aborts: connection))
        #expect(book.receive(.ended(connection)) == [])
    }

    @Test("a bot whose secret can't be had stays ours without a connection, is tried at every reload, and handed over")
    func locked() {
        let book = connected(lease())
        let second = Connection(lease: lease(), number: 2)
        #expect(book.receive(.secretMissing(Connection(lease: lease(), number: 1))) == [])
        #expect(book.leases == [lease()])
        #expect(book.receive(.reloaded(changed: [])) == [.load([lease().installation])])
        // Still without: nothing has changed, and nobody is told so.
        #expect(
            book.receive(.loaded(row(lease()), isInUse: false, isLocked: true))
                == [.connect(row(lease()), as: second)])
        #expect(book.receive(.secretMissing(second)) == [])
        let third = Connection(lease: lease(), number: 3)
        #expect(
            book.receive(.loaded(row(lease()), isInUse: false))
                == [.log(.credentialsChanged(appID: "cli_1")), .connect(row(lease()), as: third)])
        #expect(book.receive(.secretMissing(third)) == [])
        #expect(
            book.receive(.held([held(lease(), isWanted: true)], believed: [lease()])) == [.release(lease())])
    }

    // MARK: Stopping

    @Test("a stop during a scan: what it brings is ours, to be released, and never connected")
    func stopDuringScan() {
        let book = connected(lease(1))
        let connection = Connection(lease: lease(1), number: 1)
        _ = book.receive(.acquired([row(lease(2))]))
        #expect(book.receive(.stopped) == [.stopReceiving(connection)])
        #expect(book.receive(.windowsRestored([lease(2)])) == [])
        #expect(
            book.receive(.acquired([row(lease(3))]))
                == [.own(lease(3)), .log(.acquired(lease(3), appID: "cli_3"))])
        #expect(book.receive(.windowsRestored([lease(3)])) == [])
        #expect(book.receive(.closed) == [.abort(connection)])
        #expect(book.receive(.ended(connection)) == [])
    }

    @Test("a stop during a handover and a renewal: neither goes on, and the leases are released with all others")
    func stopDuringChanges() {
        let book = connected(lease(1), lease(2))
        let (first, second) = (Connection(lease: lease(1), number: 1), Connection(lease: lease(2), number: 2))
        _ = book.receive(.held([held(lease(1), isWanted: true), held(lease(2))], believed: book.leases))
        _ = book.receive(.loaded(row(lease(2), revision: 2), isInUse: false))
        #expect(book.receive(.stopped) == [.stopReceiving(first), .stopReceiving(second)])
        #expect(book.receive(.ended(first)) == [])
        #expect(book.receive(.ended(second)) == [])
        #expect(book.receive(.held([held(lease(2), revision: 3, isWanted: true)], believed: [lease(2)])) == [])
        #expect(book.receive(.reloaded(changed: ["cli_2"])) == [])
        #expect(book.receive(.closed) == [])
    }

    @Test("a lease that is lost while we stop is still given up at once")
    func lostWhileStopping() {
        let book = connected(lease())
        _ = book.receive(.stopped)
        #expect(
            book.receive(.lost(lease(), reason: "fenced"))
                == lost(lease(), "fenced", aborts: Connection(lease: lease(), number: 1)))
        // It is closing already.
        #expect(book.receive(.stopped) == [])
    }
}
