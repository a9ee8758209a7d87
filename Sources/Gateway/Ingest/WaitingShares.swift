import Store

/// What waits to be stored, by app and chat, so that one that floods leaves room for the others. Pure.
///
/// An app may have as much as it leaves free of the whole: alone it gets half. A chat may have a third of what is left
/// free: alone it gets a quarter. However many of them flood, the next one still finds something. Source: as
/// `FairShares`, with alpha 1 and 1/3.
struct WaitingShares: Sendable {
    /// What a message does not fit into.
    enum Bound: String, Sendable { case all, app, chat }

    private struct Chat: Hashable {
        let installation: InstallationID
        let id: String
    }

    private struct Held {
        var count = 0
        var bytes = 0

        mutating func change(_ row: IngestRow, by sign: Int) {
            count += sign
            bytes += sign * row.cost
        }
    }

    private let most: Held
    private var all = Held()
    private var apps: [InstallationID: Held] = [:]
    private var chats: [Chat: Held] = [:]

    init(count: Int, bytes: Int) {
        most = Held(count: count, bytes: bytes)
    }

    var count: Int { all.count }
    var bytes: Int { all.bytes }

    /// Whose share the message is too much for; nil: it may wait.
    func refusal(of row: IngestRow) -> Bound? {
        let free = Held(count: most.count - all.count, bytes: most.bytes - all.bytes)
        func isOver(_ held: Held?, parts: Int) -> Bool {
            // Whoever has nothing yet gets something.
            guard let held else { return false }
            return held.count * parts >= free.count || (held.bytes + row.cost) * parts > free.bytes
        }
        if free.count <= 0 || row.cost > free.bytes { return .all }
        if isOver(apps[row.lease.installation], parts: 1) { return .app }
        return isOver(chats[Self.chat(of: row)], parts: 3) ? .chat : nil
    }

    mutating func add(_ row: IngestRow) {
        change(row, by: 1)
    }

    /// - Parameter row: was added.
    mutating func remove(_ row: IngestRow) {
        change(row, by: -1)
    }

    private mutating func change(_ row: IngestRow, by sign: Int) {
        all.change(row, by: sign)
        Self.change(&apps, row.lease.installation, row, by: sign)
        Self.change(&chats, Self.chat(of: row), row, by: sign)
    }

    private static func change<Key>(_ held: inout [Key: Held], _ key: Key, _ row: IngestRow, by sign: Int) {
        var value = held[key] ?? Held()
        value.change(row, by: sign)
        held[key] = value.count > 0 ? value : nil
    }

    private static func chat(of row: IngestRow) -> Chat {
        Chat(installation: row.lease.installation, id: row.message.chatID)
    }
}
