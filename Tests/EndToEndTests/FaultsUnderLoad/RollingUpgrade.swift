import AsyncRuntime
import Foundation
import LarkSimulator
import TestSupport
import Testing

extension FaultsUnderLoad {
    @Test(
        "a rolling upgrade from the version before: no ack is 500, nothing is lost or doubled, whichever replica is first",
        .enabled(if: PreviousVersion.executable != nil, "LARK_GATEWAY_PREVIOUS is what scripts/previous prints"),
        arguments: [true, false])
    func rollingUpgrade(ownerFirst: Bool) async throws {
        let previous = try #require(PreviousVersion.executable)
        let gateway = try await LoadedGateway(
            "rolling upgrade, \(ownerFirst ? "owner" : "standby") first", replicas: 2, executable: previous,
            extra: #", "lease": {"ttl": "6s", "renew_every": "2s"}"#)
        try await gateway.eachRound(1) { gateway in
            try await gateway.moreMessages(100)
            try await gateway.upgrade(owner: ownerFirst)
            try await gateway.moreMessages(200)

            // systemd starts an old replica again while the upgrade goes on: it changes nothing back, and says why it
            // ends.
            let old = try Daemon.run(gateway.configuration, executable: previous)
            #expect(await old.ended() == 1)
            #expect(old.output.contains("which this version does not know: install the version that made it"))

            try await gateway.upgrade(owner: !ownerFirst)
            try await gateway.moreMessages(100)
            try await gateway.upgradeWorker()
            try await gateway.moreMessages(100)
        }
        let acks = Set(await gateway.stage.simulator.deliveryStates.flatMap(\.acks))
        #expect(acks == [200])
        try await gateway.end()
    }
}
