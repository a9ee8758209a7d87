/// A simulator that people leave running remembers what happened last, and does not grow.
extension LarkSimulator {
    /// Forgets the oldest, down to `remembers` of each kind, once there is twice as much. Deliveries that nobody has
    /// acked 200 are kept.
    func forgetOld() {
        if order.count / 2 >= remembers {
            let old = order.prefix(order.count - remembers).filter { deliveries[$0]?.state.isSettled ?? true }
            for id in old { deliveries[id] = nil }
            order.removeAll { deliveries[$0] == nil }
        }
        if sent.count / 2 >= remembers {
            sent.removeFirst(sent.count - remembers)
            sentAt.removeFirst(sentAt.count - remembers)
            let kept = Set(sent.map(\.messageID))
            sentByUUID = sentByUUID.filter { kept.contains($0.value) }
        }
        if timeline.count / 2 >= remembers { timeline.removeFirst(timeline.count - remembers) }
        if updates.count / 2 >= remembers {
            updates.removeFirst(updates.count - remembers)
            updatedAt.removeFirst(updatedAt.count - remembers)
        }
    }
}
