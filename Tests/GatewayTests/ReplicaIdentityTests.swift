import Foundation
import TestSupport
import Testing

@testable import Gateway

@Suite("Who holds a lease")
struct ReplicaIdentityTests {
    @Test("a process that is gone is known dead; a living one, another host's and our own are not")
    func death() {
        let me = ReplicaIdentity.current()
        #expect(!me.knowsDead(me.name))
        #expect(!me.knowsDead("elsewhere/boot/1/4.5"))
        #expect(!me.knowsDead("garbage"))
        #expect(me.knowsDead("\(me.place)/999999999.1"))
        #expect(me.knowsDead("\(me.place)/1.999999999999"), "the same number, another start")
    }

    @Test("S19: of a process that exists and can't be looked at nothing is said: its lease is left to run out")
    func hidden() {
        let me = ReplicaIdentity.current()
        #expect(!me.knowsDead("\(me.place)/4711.1", look: { _ in .hidden }))
        #expect(me.knowsDead("\(me.place)/4711.1", look: { _ in .gone }))
        #expect(me.knowsDead("\(me.place)/4711.1", look: { _ in .running(start: "2") }))
        #expect(!me.knowsDead("\(me.place)/4711.1", look: { _ in .running(start: "1") }))
    }

    @Test("S19: what is seen of a process: its start, that it is gone, or that /proc hides it")
    func sight() throws {
        guard case .running(let start) = ProcessSight.look(at: getpid()) else {
            Issue.record("we run")
            return
        }
        #expect(UInt64(start) != nil)
        #expect(ProcessSight.look(at: 999_999_999) == .gone)
        // An empty folder shows as much as a /proc under ProtectProc=invisible.
        let folder = try TemporaryFolder.make("proc")
        #expect(ProcessSight.look(at: getpid(), in: folder) == .hidden)
        #expect(ProcessSight.look(at: 999_999_999, in: folder) == .gone)
    }
}
