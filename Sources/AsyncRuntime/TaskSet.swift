/// Tasks that one owner began and nobody waits for, until the owner ends: all of them are then cancelled and waited
/// for.
package final class TaskSet: Sendable {
    private struct State {
        var isEnded = false
        var nextID = 0
        var tasks: [Int: Task<Void, Never>] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    /// How many are under way.
    var count: Int { state.withLock { $0.tasks.count } }

    /// Begins a task; after `end` nothing.
    package func begin(_ body: @escaping @Sendable () async -> Void) {
        state.withLock { state in
            guard !state.isEnded else { return }
            let id = state.nextID
            state.nextID += 1
            // It can't be over before it stands here: it takes the lock, too.
            state.tasks[id] = Task {
                await body()
                self.state.withLock { $0.tasks[id] = nil }
            }
        }
    }

    /// Cancels what was begun, begins nothing more, and returns when all of it has returned.
    package func end() async {
        let tasks = state.withLock { state in
            state.isEnded = true
            return Array(state.tasks.values)
        }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }
}
