import Testing

@testable import lark_gateway

@Suite("Starting a server again")
struct RestartBudgetTests {
    @Test("is tried five times, each after a longer wait, and then given up")
    func attempts() {
        var budget = RestartBudget()
        let waits = (0..<5).compactMap { _ in budget.next() }
        #expect(waits == RestartBudget.waits)
        #expect(zip(waits, waits.dropFirst()).allSatisfy { $0 < $1 })
        #expect(budget.next() == nil)
    }

    @Test(
        "a server that ends soon after each start uses the attempts up; one that was healthy for a minute has them all")
    func healthy() {
        var budget = RestartBudget()
        for _ in 0..<5 {
            budget.serverEnded(afterRunning: .seconds(59))
            #expect(budget.next() != nil)
        }
        budget.serverEnded(afterRunning: .seconds(59))
        #expect(budget.next() == nil)
        budget.serverEnded(afterRunning: .seconds(60))
        #expect(budget.next() == RestartBudget.waits[0])
    }
}
