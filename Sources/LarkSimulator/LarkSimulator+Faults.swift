import AsyncRuntime
import HTTPServer

/// What goes wrong, when a test says so.
extension LarkSimulator {
    package func failEndpoint(_ faults: [EndpointFault]) {
        endpointFaults += faults
    }

    /// The next upgrades are refused, with these headers.
    package func refuseUpgrades(_ headers: [[String: String]]) {
        upgradeFaults += headers
    }

    /// The next calls that send a message get these answers.
    package func failMessages(_ faults: [(status: Int, body: String)]) {
        failMessages(faults.map { APIFault(status: $0.status, body: $0.body) })
    }

    /// The app may know what this person is called.
    package func name(_ openID: String, _ name: String) {
        names[openID] = name
    }

    /// The next calls that list messages get these answers.
    package func failHistory(_ faults: [APIFault]) {
        historyFaults += faults
    }

    /// The next calls about reactions get these answers.
    package func failReactions(_ faults: [(status: Int, body: String)]) {
        reactionFaults += faults.map { APIFault(status: $0.status, body: $0.body) }
    }

    /// From now on the question who the bot is gets this answer; nil: the right one.
    package func failBotInfo(_ fault: APIFault?) {
        botInfoFault = fault
    }

    package func failMessages(_ faults: [APIFault]) {
        messageFaults += faults
    }

    /// From now on calls of these kinds, and of no others, are taken and never answered, until the simulator stops.
    package func hang(_ calls: Set<Call>) {
        hangingCalls = calls
    }

    func hangIfAsked(_ call: Call) async {
        guard hangingCalls.contains(call) else { return }
        hungCalls[call, default: 0] += 1
        changed()
        await endOfHanging.wait()
    }

    /// The next acks get lost on the way.
    package func loseAcks(_ count: Int) {
        acksToLose += count
    }

    /// Every connection that is open now goes on as if its peer had vanished without a word.
    package func fallSilent() async {
        for connection in connections.values { await connection.fallSilent() }
    }

    package func expireTokens() {
        tokens = [:]
    }
}
