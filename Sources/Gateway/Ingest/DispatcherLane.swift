import Store

/// What waits to be stored in one lane, in the order of arrival. `WaitingShares` bounds it.
struct DispatcherLane {
    struct Item: Sendable {
        let row: IngestRow
        let acknowledge: Dispatcher.Acknowledge
    }

    /// One statement's worth.
    static let maxBatch = 256
    static let maxBatchBytes = 4 << 20

    private var items: [Item] = []
    var isRunning = false
    /// How many ever came, and of how many the fate is settled.
    private(set) var arrived = 0
    var settled = 0

    var count: Int { items.count }

    mutating func append(_ item: Item) {
        items.append(item)
        arrived += 1
    }

    /// What goes out together in the next statement: everything that waits, within the bounds, and at least one.
    mutating func takeBatch() -> [Item] {
        var size = 0
        var taken = 0
        for item in items.prefix(Self.maxBatch) {
            guard taken == 0 || size + item.row.cost <= Self.maxBatchBytes else { break }
            size += item.row.cost
            taken += 1
        }
        defer { items.removeFirst(taken) }
        return Array(items.prefix(taken))
    }
}
