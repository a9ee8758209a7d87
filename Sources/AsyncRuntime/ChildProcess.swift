import Dispatch
import Foundation

/// What a finished child process left.
package struct ChildProcessResult: Sendable {
    /// The exit status; 128 + the signal's number where a signal ended it.
    package let status: Int32
    package let output: Data
    package let errorOutput: Data
}

/// The program could not be started.
package struct SpawnError: Error, Sendable, CustomStringConvertible {
    package let executable: String
    package let code: Int32

    package var description: String { "can't run \(executable): \(String(cString: strerror(code)))" }
}

/// Runs a program to its end, with its input given and its output collected.
///
/// Not Foundation's `Process`: on Linux it takes a child for running as long as anything that the child started runs,
/// so a server that `pg_ctl` left in the background never ends it.
package enum ChildProcess {
    private static let spawnLock = Mutex(())

    /// - Parameter environment: nil: ours.
    /// - Parameter collectsOutput: false where the child leaves something running that would hold the pipes open: the
    /// output
    ///   is complete when all that hold them have ended, so the deadline counts for these too.
    /// - Parameter outputLimit: bytes of output and of error output that are kept; what comes after is read and thrown
    ///   away, so that the child never blocks.
    /// - Parameter deadline: then, or when the task is cancelled, the child's process group gets SIGTERM, and SIGKILL
    ///   5 s later.
    /// - Parameter received: called with each piece of output as it comes, also beyond the limit.
    /// - Parameter started: called with the child's process id.
    /// - Throws: `SpawnError`, `DeadlineExceeded`, `CancellationError`.
    package static func run(
        _ executable: String, _ arguments: [String], environment: [String: String]? = nil, input: Data = Data(),
        collectsOutput: Bool = true, outputLimit: Int = 16 << 20, deadline: Deadline,
        received: @escaping @Sendable (ArraySlice<UInt8>) -> Void = { _ in },
        started: @Sendable (pid_t) -> Void = { _ in }
    ) async throws -> ChildProcessResult {
        let stdin = try Pipe()
        let stdout = collectsOutput ? try Pipe() : nil
        let stderr = collectsOutput ? try Pipe() : nil
        let pid: pid_t
        do {
            pid = try spawn(
                executable, arguments, environment, stdin: stdin.read, stdout: stdout?.write, stderr: stderr?.write)
        } catch {
            for pipe in [stdin, stdout, stderr] { pipe?.closeBoth() }
            throw error
        }
        stdin.closeRead()
        stdout?.closeWrite()
        stderr?.closeWrite()

        started(pid)

        let ended = AsyncEvent()
        let isComplete = AsyncEvent()
        let (outputEnd, errorEnd) = (stdout.map { Output($0.read) }, stderr.map { Output($0.read) })
        async let status = wait(for: pid, ended)
        async let collected = collect(outputEnd, errorEnd, limit: outputLimit, isComplete, received)
        feed(input, to: stdin.write)

        await ended.wait(atMost: deadline.remaining)
        if ended.isSet { await isComplete.wait(atMost: deadline.remaining) }
        let inTime = ended.isSet && isComplete.isSet
        if !inTime {
            kill(-pid, SIGTERM)
            let killer = Task.detached {
                try await Task.sleep(for: .seconds(5))
                kill(-pid, SIGKILL)
            }
            await Task.detached { await ended.wait() }.value
            killer.cancel()
            // What it started and left behind goes too, or it would hold the pipes open.
            kill(-pid, SIGKILL)
            // What has left the process group can't be found; nobody waits for it.
            await Task.detached { await isComplete.wait(atMost: .seconds(1)) }.value
            for end in [outputEnd, errorEnd] { end?.readiness.invalidate() }
        }
        let (output, errorOutput) = await collected
        let result = await ChildProcessResult(status: status, output: output, errorOutput: errorOutput)
        guard inTime else {
            try Task.checkCancellation()
            throw DeadlineExceeded(operation: executable)
        }
        return result
    }

    // MARK: System calls

    private struct Pipe {
        let read: Int32
        let write: Int32

        init() throws {
            var ends: [Int32] = [-1, -1]
            guard spawnLock.withLock({ _ in pipe(&ends) }) == 0 else {
                throw SpawnError(executable: "pipe", code: errno)
            }
            (read, write) = (ends[0], ends[1])
        }

        func closeRead() { close(read) }
        func closeWrite() { close(write) }
        func closeBoth() {
            closeRead()
            closeWrite()
        }
    }

    /// In a process group of its own, so that its children can be ended with it.
    private static func spawn(
        _ executable: String, _ arguments: [String], _ environment: [String: String]?, stdin: Int32, stdout: Int32?,
        stderr: Int32?
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, stdin, 0)
        for (descriptor, target) in [(stdout, 1), (stderr, 2)] as [(Int32?, Int32)] {
            if let descriptor {
                posix_spawn_file_actions_adddup2(&actions, descriptor, target)
            } else {
                posix_spawn_file_actions_addopen(&actions, target, "/dev/null", O_WRONLY, 0)
            }
        }
        // A child that held the end of another child's pipe would keep that one waiting. Under a lock, so that no pipe
        // is made between this look and the spawn; closing what is closed already is no error.
        return try spawnLock.withLock { _ in
            let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
            for descriptor in open.compactMap({ Int32($0) }) where descriptor > 2 {
                posix_spawn_file_actions_addclose(&actions, descriptor)
            }
            return try exec(executable, arguments, environment, &actions)
        }
    }

    private static func exec(
        _ executable: String, _ arguments: [String], _ environment: [String: String]?,
        _ actions: inout posix_spawn_file_actions_t
    ) throws -> pid_t {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
        posix_spawnattr_setflags(&attributes, Int16(flags))

        let variables = (environment ?? ProcessInfo.processInfo.environment).map { "\($0.key)=\($0.value)" }
        var argv = ([executable] + arguments).map { strdup($0) } + [nil]
        var envp = variables.map { strdup($0) } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var pid: pid_t = 0
        let code = posix_spawnp(&pid, executable, &actions, &attributes, &argv, &envp)
        guard code == 0 else { throw SpawnError(executable: executable, code: code) }
        return pid
    }

    private static func wait(for pid: pid_t, _ ended: AsyncEvent) async -> Int32 {
        await BlockingCall.run {
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            ended.set()
            let signal = status & 0x7F
            return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
        }
    }

    /// The end of a pipe that the child's output is read from.
    private struct Output: Sendable {
        let descriptor: Int32
        let readiness: SocketReadiness

        init(_ descriptor: Int32) {
            self.descriptor = descriptor
            readiness = prepare(descriptor)
        }
    }

    /// - Parameter isComplete: set when both have come to their end.
    private static func collect(
        _ output: Output?, _ errorOutput: Output?, limit: Int, _ isComplete: AsyncEvent,
        _ received: @escaping @Sendable (ArraySlice<UInt8>) -> Void
    ) async -> (Data, Data) {
        async let first = collect(output, limit: limit, received)
        async let second = collect(errorOutput, limit: limit) { _ in }
        let both = await (first, second)
        isComplete.set()
        return both
    }

    private static func collect(
        _ end: Output?, limit: Int, _ received: @Sendable (ArraySlice<UInt8>) -> Void
    ) async -> Data {
        guard let end else { return Data() }
        let (descriptor, readiness) = (end.descriptor, end.readiness)
        defer {
            readiness.invalidate()
            close(descriptor)
        }
        var data = Data()
        // Memory of its own, for the reason in `Poller.run`.
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let count = read(descriptor, buffer.baseAddress, buffer.count)
            if count > 0 {
                let piece = [UInt8](buffer[..<count])
                received(piece[...])
                if data.count < limit { data.append(contentsOf: piece.prefix(limit - data.count)) }
            } else if count < 0, errno == EAGAIN {
                guard await waitShielded(readiness, for: .read) else { return data }
            } else if count == 0 || errno != EINTR {
                return data
            }
        }
    }

    /// A child that does not read its input ends this by closing it.
    private static func feed(_ input: Data, to descriptor: Int32) {
        // Otherwise a child that went away would end us.
        _ = signal(SIGPIPE, SIG_IGN)
        Task.detached {
            let readiness = prepare(descriptor)
            var sent = 0
            while sent < input.count {
                let count = input.withUnsafeBytes {
                    write(descriptor, $0.baseAddress?.advanced(by: sent), input.count - sent)
                }
                if count > 0 {
                    sent += count
                } else if count < 0, errno == EAGAIN {
                    guard await waitShielded(readiness, for: .write) else { break }
                } else if errno != EINTR {
                    break
                }
            }
            readiness.invalidate()
            close(descriptor)
        }
    }

    private static func prepare(_ descriptor: Int32) -> SocketReadiness {
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        return SocketReadiness(descriptor: descriptor)
    }

    /// The end of all that hold the pipe ends this wait, or `run` does, once the deadline has passed. A task that is
    /// cancelled ends the child first.
    /// - Returns: false when nothing more is to be waited for.
    private static func waitShielded(
        _ readiness: SocketReadiness, for direction: SocketReadiness.Direction
    ) async -> Bool {
        await Task.detached { await readiness.wait(for: direction, until: nil) }.value != .invalidated
    }
}
