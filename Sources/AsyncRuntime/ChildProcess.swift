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

    /// What is kept of a child, and what is done to what it leaves behind.
    package struct Containment: Sendable {
        /// Runs the child under a supervisor, which kills everything that it started and left behind, also what has
        /// left its session, and everything at once when this process is killed. Otherwise its process group is killed.
        package var isSupervised = false
        /// Of a supervised child: whom it runs as; nil: as we do.
        package var user: SystemUser?
        /// Bytes of output that are kept, and of error output; what comes after is read and thrown away, so that the
        /// child never blocks.
        package var outputLimit = 16 << 20
        package var errorOutputLimit = 16 << 20

        package init() {}
    }

    /// How long output is waited for after the child's end. What held it open is killed then, or can't be found.
    private static let outputPatience = Duration.seconds(1)

    /// Returns when the child has ended. What it started ends with it: its process group is killed (but where
    /// `collectsOutput` is false), and output that is held open even so is waited for a second, and kept as far as it
    /// came.
    /// - Parameter environment: nil: ours.
    /// - Parameter collectsOutput: false where the child leaves something running.
    /// - Parameter deadline: then, or when the task is cancelled, the child's process group gets SIGTERM, and SIGKILL
    ///   5 s later.
    /// - Parameter received: called with each piece of output as it comes, also beyond the limit.
    /// - Parameter receivedError: the same for the error output.
    /// - Parameter started: called with the child's process id; of a supervised one with the supervisor's.
    /// - Throws: `SpawnError`, `DeadlineExceeded`, `CancellationError`.
    package static func run(
        _ executable: String, _ arguments: [String], environment: [String: String]? = nil, input: Data = Data(),
        collectsOutput: Bool = true, containment: Containment = Containment(), deadline: Deadline,
        received: @escaping @Sendable (ArraySlice<UInt8>) -> Void = { _ in },
        receivedError: @escaping @Sendable (ArraySlice<UInt8>) -> Void = { _ in },
        started: @Sendable (pid_t) -> Void = { _ in }
    ) async throws -> ChildProcessResult {
        let program = SpawnedChild.Program(executable: executable, arguments: arguments, environment: environment)
        let stdin = try Pipe()
        let stdout = collectsOutput ? try Pipe() : nil
        let stderr = collectsOutput ? try Pipe() : nil
        let child: SpawnedChild
        do {
            child = try spawn(program, containment, stdin: stdin.read, stdout: stdout?.write, stderr: stderr?.write)
        } catch {
            for pipe in [stdin, stdout, stderr] { pipe?.closeBoth() }
            throw error
        }
        stdin.closeRead()
        stdout?.closeWrite()
        stderr?.closeWrite()

        started(child.pid)

        let ended = AsyncEvent()
        let isComplete = AsyncEvent()
        let (outputEnd, errorEnd) = (stdout.map { PipeEnd($0.read) }, stderr.map { PipeEnd($0.read) })
        let inputEnd = PipeEnd(stdin.write)
        async let status = reap(child, ended, leavesNothing: collectsOutput)
        async let output = collect(outputEnd, limit: containment.outputLimit, received)
        async let errorOutput = collect(errorEnd, limit: containment.errorOutputLimit, receivedError)
        feed(input, to: inputEnd)

        await ended.wait(atMost: deadline.remaining)
        let inTime = ended.isSet
        if !inTime {
            child.terminate()
            let killer = Task.detached {
                try await Task.sleep(for: child.patience)
                child.killNow()
            }
            await Task.detached { await ended.wait() }.value
            killer.cancel()
        }
        inputEnd.abandon()
        let patience = Task.detached {
            await isComplete.wait(atMost: outputPatience)
            for end in [outputEnd, errorEnd] { end?.abandon() }
        }
        let result = await ChildProcessResult(status: status, output: output, errorOutput: errorOutput)
        isComplete.set()
        await patience.value
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

    /// A child that held the end of another child's pipe would keep that one waiting. Under a lock, so that no pipe is
    /// made between the look at what is open and the spawn.
    private static func spawn(
        _ program: SpawnedChild.Program, _ containment: Containment, stdin: Int32, stdout: Int32?, stderr: Int32?
    ) throws -> SpawnedChild {
        try spawnLock.withLock { _ in
            guard containment.isSupervised, let stdout, let stderr else {
                return try SpawnedChild.inGroup(program, input: stdin, output: stdout, errors: stderr)
            }
            return try SpawnedChild.contained(
                program, as: containment.user, input: stdin, output: stdout, errors: stderr)
        }
    }

    private static func reap(_ child: SpawnedChild, _ ended: AsyncEvent, leavesNothing: Bool) async -> Int32 {
        await BlockingCall.run {
            child.waitForEnd()
            let status = child.reap(killsRest: leavesNothing)
            ended.set()
            return status
        }
    }

    /// Our end of a pipe.
    private struct PipeEnd: Sendable {
        let descriptor: Int32
        let readiness: SocketReadiness
        let isAbandoned = AsyncEvent()

        init(_ descriptor: Int32) {
            self.descriptor = descriptor
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
            readiness = SocketReadiness(descriptor: descriptor)
        }

        /// Ends the work on it, also where the other end never pauses.
        func abandon() {
            isAbandoned.set()
            readiness.invalidate()
        }

        /// The end of all that hold the other end ends this wait, or `run` does, after the child's end. A task that is
        /// cancelled ends the child first.
        /// - Returns: false when nothing more is to be waited for.
        func waitShielded(for direction: SocketReadiness.Direction) async -> Bool {
            await Task.detached { await readiness.wait(for: direction, until: nil) }.value != .invalidated
        }
    }

    private static func collect(
        _ end: PipeEnd?, limit: Int, _ received: @Sendable (ArraySlice<UInt8>) -> Void
    ) async -> Data {
        guard let end else { return Data() }
        defer {
            end.readiness.invalidate()
            close(end.descriptor)
        }
        var data = Data()
        // Memory of its own, for the reason in `Poller.run`.
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
        defer { buffer.deallocate() }
        while !end.isAbandoned.isSet {
            let count = read(end.descriptor, buffer.baseAddress, buffer.count)
            if count > 0 {
                let piece = [UInt8](buffer[..<count])
                received(piece[...])
                if data.count < limit { data.append(contentsOf: piece.prefix(limit - data.count)) }
            } else if count < 0, errno == EAGAIN {
                guard await end.waitShielded(for: .read) else { return data }
            } else if count == 0 || errno != EINTR {
                return data
            }
        }
        return data
    }

    /// A child that does not read its input ends this by closing it, or by its end.
    private static func feed(_ input: Data, to end: PipeEnd) {
        // Otherwise a child that went away would end us.
        _ = signal(SIGPIPE, SIG_IGN)
        Task.detached {
            var sent = 0
            while sent < input.count, !end.isAbandoned.isSet {
                let count = input.withUnsafeBytes {
                    write(end.descriptor, $0.baseAddress?.advanced(by: sent), input.count - sent)
                }
                if count > 0 {
                    sent += count
                } else if count < 0, errno == EAGAIN {
                    guard await end.waitShielded(for: .write) else { break }
                } else if errno != EINTR {
                    break
                }
            }
            end.readiness.invalidate()
            close(end.descriptor)
        }
    }
}
