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
}
