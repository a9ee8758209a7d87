import Foundation

/// Lets one process at a time use a state directory: flock(2) on a file in it, which holds the process's id as text.
///
/// The kernel releases the lock when the process ends, however it ends. No child inherits it: a Postgres that a killed
/// gateway leaves behind does not hold it.
enum StateDirectoryLock {
    enum Failure: Error, CustomStringConvertible {
        /// - Parameter holder: nil where the file does not tell.
        case held(directory: String, holder: Int?)
        case unusable(path: String, code: Int32)

        var description: String {
            switch self {
            case .held(let directory, let holder):
                "another lark-gateway \(holder.map { "(pid \($0)) " } ?? "")uses this directory: \(directory)"
            case .unusable(let path, let code): "can't use \(path): \(String(cString: strerror(code)))"
            }
        }
    }

    /// Runs `body` with the lock held. Makes the directory where there is none.
    /// - Throws: `Failure`, at once, without waiting for the other process; and what `body` throws.
    static func withLock<T: Sendable>(on directory: String, _ body: () async throws -> T) async throws -> T {
        let descriptor = try acquire(directory)
        defer { close(descriptor) }
        return try await body()
    }

    enum Holder: Equatable {
        case nobody
        /// - Parameter id: nil where the file does not tell.
        case process(id: Int?)
        /// This user can't see it.
        case unknown
    }

    /// Who holds the lock, without taking it: the look at it takes a shared one for a moment.
    static func holder(of directory: String) -> Holder {
        let descriptor = open(directory + "/lark-gateway.lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { return errno == ENOENT ? .nobody : .unknown }
        defer { close(descriptor) }
        if flock(descriptor, LOCK_SH | LOCK_NB) == 0 { return .nobody }
        return errno == EWOULDBLOCK ? .process(id: holder(descriptor)) : .unknown
    }

    private static func acquire(_ directory: String) throws(Failure) -> Int32 {
        try makeDirectory(directory)
        let path = directory + "/lark-gateway.lock"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw .unusable(path: path, code: errno) }
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let code = errno
            guard code != EINTR else { continue }
            let holder = holder(descriptor)
            close(descriptor)
            throw code == EWOULDBLOCK
                ? .held(directory: directory, holder: holder) : .unusable(path: path, code: code)
        }
        // Not written (a full disk): the lock holds all the same.
        let text = Array("\(getpid())\n".utf8)
        _ = ftruncate(descriptor, 0)
        _ = pwrite(descriptor, text, text.count, 0)
        return descriptor
    }

    private static func holder(_ descriptor: Int32) -> Int? {
        var buffer = [UInt8](repeating: 0, count: 32)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        return Int(String(decoding: buffer[..<max(0, count)], as: UTF8.self).prefix { $0.isNumber })
    }

    /// With the folders above it, each closed to others.
    private static func makeDirectory(_ path: String) throws(Failure) {
        var folder = path.hasPrefix("/") ? "" : "."
        for name in path.split(separator: "/") {
            folder += "/\(name)"
            // What is there, also what is no folder, is found by who opens the lock's file. Above it may be what
            // another user closed, or a file system that is read only.
            var status = stat()
            guard stat(folder, &status) != 0, mkdir(folder, 0o700) != 0, errno != EEXIST else {
                continue
            }
            throw .unusable(path: path, code: errno)
        }
    }
}
