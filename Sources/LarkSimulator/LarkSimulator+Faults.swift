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

    /// The next calls that list messages get these answers.
    package func failHistory(_ faults: [APIFault]) {
        historyFaults += faults
    }

    /// The next calls about reactions get these answers.
    package func failReactions(_ faults: [(status: Int, body: String)]) {
        reactionFaults += faults.map { APIFault(status: $0.status, body: $0.body) }
    }

    package func failMessages(_ faults: [APIFault]) {
        messageFaults += faults
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
