import Store

/// The open windows of all sessions: which is due next, and what closes when. Pure: time comes in with each call.
///
/// A window closes `silence` after its last message and at most `maxWait` after its first. One heap entry per window:
/// a message that extends a window moves only its deadline, and the entry is put back when it comes up too early. An
/// entry that was superseded has an older generation and does nothing.
struct SilenceWindows {
    private struct Window {
        /// Milliseconds on the caller's clock.
        var first: Int64
        var due: Int64
        /// Of the entry in the heap that stands for this window.
        var generation: UInt32
    }

    private struct Entry {
        let due: Int64
        let key: SessionKey
        let generation: UInt32
    }

    private var silence: Int64
    private var maxWait: Int64
    /// By installation, then by session: an installation is forgotten without a look at the windows of others.
    private var windows: [InstallationID: [Int64: Window]] = [:]
    private(set) var count = 0
    private var heap: [Entry] = []
    private var nextGeneration: UInt32 = 0
    /// Sessions whose flush is under way: their next window waits for it.
    private var flushing: Set<SessionKey> = []
    /// Of those, the ones whose next window is due already.
    private var overdue: Set<SessionKey> = []

    init(_ batching: Batching) {
        silence = batching.silenceWindow.milliseconds
        maxWait = batching.maxWait.milliseconds
    }

    /// Takes other times, for windows that are opened or extended from now on. A window that is open stays due when it
    /// was.
    mutating func update(_ batching: Batching) {
        silence = batching.silenceWindow.milliseconds
        maxWait = batching.maxWait.milliseconds
    }

    /// A message was stored: the window opens, or closes later.
    /// - Returns: whether it opened a window.
    @discardableResult
    mutating func messageStored(in key: SessionKey, now: Duration) -> Bool {
        let now = now.milliseconds
        guard let window = window(key) else {
            open(key, first: now, due: now + silence)
            return true
        }
        let due = min(now + silence, window.first + maxWait)
        if due < window.due {
            // A window that was read back can be older than its deadline lets on, and the silence may be shorter than
            // it was: the entry would come up too late.
            open(key, first: window.first, due: due)
        } else {
            windows[key.installation]?[key.session]?.due = due
        }
        return false
    }

    /// A window that was read back from the database, or whose flush failed; it never delays one that is open already.
    mutating func restore(_ key: SessionKey, first: Duration, due: Duration) {
        guard let window = window(key) else {
            return open(key, first: first.milliseconds, due: due.roundedUpMilliseconds)
        }
        guard due.roundedUpMilliseconds < window.due else { return }
        open(key, first: min(window.first, first.milliseconds), due: due.roundedUpMilliseconds)
    }

    private mutating func open(_ key: SessionKey, first: Int64, due: Int64) {
        nextGeneration &+= 1
        let window = Window(first: first, due: due, generation: nextGeneration)
        if windows[key.installation, default: [:]].updateValue(window, forKey: key.session) == nil { count += 1 }
        push(Entry(due: due, key: key, generation: nextGeneration))
    }

    /// Closes windows that are due, `limit` of them at most; their flushes are under way until
    /// `flushEnded`.
    mutating func closeDue(now: Duration, limit: Int) -> [SessionKey] {
        var due: [SessionKey] = []
        while due.count < limit, let entry = heap.first, entry.due <= now.milliseconds {
            pop()
            guard let window = window(entry.key), window.generation == entry.generation else { continue }
            if window.due > now.milliseconds {
                push(Entry(due: window.due, key: entry.key, generation: entry.generation))
            } else if flushing.contains(entry.key) {
                overdue.insert(entry.key)
            } else {
                close(entry.key)
                flushing.insert(entry.key)
                due.append(entry.key)
            }
        }
        return due
    }

    /// Closes every window whose session has no flush under way, due or not.
    mutating func closeAll() -> [SessionKey] {
        let keys = windows.flatMap { installation, windows in
            windows.keys.map { SessionKey(installation: installation, session: $0) }.filter { !flushing.contains($0) }
        }
        for key in keys {
            close(key)
            flushing.insert(key)
        }
        heap.removeAll()
        overdue.removeAll()
        return keys
    }

    /// The session's next window may be flushed now.
    mutating func flushEnded(_ key: SessionKey) {
        flushing.remove(key)
        guard overdue.remove(key) != nil, let window = window(key) else { return }
        push(Entry(due: window.due, key: key, generation: window.generation))
    }

    /// Forgets the windows of an installation: another replica has them now.
    /// - Returns: how many there were.
    @discardableResult
    mutating func forget(_ installation: InstallationID) -> Int {
        let forgotten = windows.removeValue(forKey: installation)?.count ?? 0
        count -= forgotten
        return forgotten
    }

    private func window(_ key: SessionKey) -> Window? { windows[key.installation]?[key.session] }

    private mutating func close(_ key: SessionKey) {
        guard windows[key.installation]?.removeValue(forKey: key.session) != nil else { return }
        count -= 1
        if windows[key.installation]?.isEmpty == true { windows[key.installation] = nil }
    }

    /// When `closeDue` has something to do next.
    var nextDeadline: Duration? { heap.first.map { .milliseconds($0.due) } }

    // MARK: A binary heap, the earliest first

    private mutating func push(_ entry: Entry) {
        heap.append(entry)
        var child = heap.count - 1
        while child > 0, heap[child].due < heap[(child - 1) / 2].due {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func pop() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            let left = 2 * parent + 1
            guard left < heap.count else { return }
            let child = left + 1 < heap.count && heap[left + 1].due < heap[left].due ? left + 1 : left
            guard heap[child].due < heap[parent].due else { return }
            heap.swapAt(child, parent)
            parent = child
        }
    }
}

extension Duration {
    fileprivate var roundedUpMilliseconds: Int64 {
        self > .milliseconds(milliseconds) ? milliseconds + 1 : milliseconds
    }
}
