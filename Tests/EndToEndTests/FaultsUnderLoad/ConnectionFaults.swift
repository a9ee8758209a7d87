import AsyncRuntime
import Foundation
import Gateway
import LarkSimulator
import Postgres
import TestSupport
import Testing

extension FaultsUnderLoad {
    @Test("connections are cut, cleanly and by reset, while events come in parts in any order")
    func cuts() async throws {
        var timing = LoadedGateway.timing
        (timing.partBytes, timing.shufflesParts) = (200, true)
        let gateway = try await LoadedGateway("cuts", timing: timing)
        try await gateway.eachRound(FaultSettings.rounds(full: 20)) { gateway in
            let isReset = Bool.random(using: &gateway.random)
            await gateway.stage.simulator.cutConnections(reset: isReset)
        }
        try await gateway.end()
    }

    @Test("every message is delivered again while it is being stored, and acks get lost")
    func impatience() async throws {
        var timing = LoadedGateway.timing
        timing.ackTimeout = .milliseconds(15)
        let gateway = try await LoadedGateway("impatient platform", timing: timing)
        try await gateway.eachRound(FaultSettings.rounds(full: 20)) { gateway in
            let simulator = gateway.stage.simulator
            await simulator.loseAcks(50)
            for delivery in await simulator.deliveryStates.suffix(50) {
                async let first: Void = simulator.repeatDelivery(of: delivery.messageID)
                async let second: Void = simulator.repeatDelivery(of: delivery.messageID)
                _ = await (first, second)
            }
        }
        try await gateway.end()
    }

    @Test(
        "a connection falls silent, and nobody says so",
        .enabled(if: FaultSettings.isFull, "takes 30 s; scripts/faults"))
    func silence() async throws {
        var timing = LoadedGateway.timing
        timing.pingIntervalSeconds = 2
        let gateway = try await LoadedGateway("silence", timing: timing)
        try await gateway.eachRound(2) { gateway in
            let ended = gateway.daemon.events("connection.closed").count
            await gateway.stage.simulator.fallSilent()
            let hasEnded = try await gateway.daemon.logs(
                "connection.closed", count: ended + 1, within: .seconds(60))
            #expect(hasEnded, "D3: a ping without an answer ends it")
        }
        try await gateway.end()
    }
}
