#if SANITIZE_THREAD
    import Glibc

    /// A mutex of POSIX with the face of Synchronization.Mutex. ThreadSanitizer sees what pthread_mutex_lock orders; of
    /// the standard library's own mutex it sees nothing, and takes every use of it for a race.
    package struct Mutex<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
        // Sendable: what the pointers lead to is touched in `withLock` alone, with the lock held, and freed when nobody
        // holds the mutex any more.
        private let lock: UnsafeMutablePointer<pthread_mutex_t>
        private let value: UnsafeMutablePointer<Value>

        package init(_ initial: consuming sending Value) {
            lock = .allocate(capacity: 1)
            pthread_mutex_init(lock, nil)
            value = .allocate(capacity: 1)
            value.initialize(to: initial)
        }

        deinit {
            value.deinitialize(count: 1)
            value.deallocate()
            pthread_mutex_destroy(lock)
            lock.deallocate()
        }

        package borrowing func withLock<Result: ~Copyable, E: Error>(
            _ body: (inout sending Value) throws(E) -> sending Result
        ) throws(E) -> sending Result {
            pthread_mutex_lock(lock)
            defer { pthread_mutex_unlock(lock) }
            return try body(&value.pointee)
        }
    }
#else
    import Synchronization

    package typealias Mutex<Value: ~Copyable> = Synchronization.Mutex<Value>
#endif
