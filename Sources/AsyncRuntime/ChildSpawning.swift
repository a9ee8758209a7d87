import CContainment
import Foundation

/// A child process that was started, and how it is ended. It is reaped here alone, so that no signal of ours goes to
/// another process that got its number.
final class SpawnedChild: Sendable {
    let pid: pid_t
    /// Of a contained one: ends it when it is written to, or closed.
    private let control: Int32?
    private struct State {
        var isReaped = false
        var isTerminated = false
    }

    private let state = Mutex(State())

    private init(pid: pid_t, control: Int32?) {
        self.pid = pid
        self.control = control
    }

    /// To the child and what it started. A contained one kills what does not end within 5 s by itself.
    func terminate() {
        state.withLock { state in
            guard !state.isReaped else { return }
            state.isTerminated = true
            guard let control else { return _ = kill(-pid, SIGTERM) }
            var byte: UInt8 = 1
            _ = write(control, &byte, 1)
        }
    }

    /// How long after `terminate` a child is left alone: until its grace is over, and a supervisor has killed the rest.
    var patience: Duration { control == nil ? Self.grace : Self.grace + .seconds(5) }

    /// The group; of a contained child the supervisor, whose end kills the command. A supervisor ends by itself, but
    /// where the command has stopped it, which a command of the same user can.
    func killNow() {
        state.withLock { if !$0.isReaped { _ = kill(control == nil ? -pid : pid, SIGKILL) } }
    }

    /// Blocks until the child has ended.
    func waitForEnd() {
        lgw_wait_for_end(pid)
    }

    /// After `waitForEnd`.
    /// - Parameter killsRest: kills what is left of the group first; that of a child that was terminated is killed in
    ///   any case.
    /// - Returns: the exit status; 128 + the signal's number where a signal ended it.
    func reap(killsRest: Bool) -> Int32 {
        state.withLock { state in
            // While the group's number is its own.
            if control == nil, killsRest || state.isTerminated { _ = kill(-pid, SIGKILL) }
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            state.isReaped = true
            if let control { close(control) }
            let signal = status & 0x7F
            return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
        }
    }

    // MARK: Starting

    private static let grace = Duration.seconds(5)

    /// What is started.
    struct Program {
        let executable: String
        let arguments: [String]
        /// nil: ours.
        let environment: [String: String]?

        func withCStrings<T>(
            _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>, UnsafePointer<UnsafeMutablePointer<CChar>?>) -> T
        ) -> T {
            let variables = (environment ?? ProcessInfo.processInfo.environment).map { "\($0.key)=\($0.value)" }
            let argv = ([executable] + arguments).map { strdup($0) } + [nil]
            let envp = variables.map { strdup($0) } + [nil]
            defer { for pointer in argv + envp { free(pointer) } }
            return argv.withUnsafeBufferPointer { argv in
                envp.withUnsafeBufferPointer { envp in
                    guard let first = argv.baseAddress, let second = envp.baseAddress else {
                        preconditionFailure("an array with an element has an address")
                    }
                    return body(first, second)
                }
            }
        }
    }

    /// With a supervisor that kills whatever the program started, when it has ended (containment.h).
    /// - Throws: `SpawnError`.
    static func contained(
        _ program: Program, as user: SystemUser?, input: Int32, output: Int32, errors: Int32
    ) throws -> SpawnedChild {
        var control: Int32 = -1
        let (pid, code) = program.withCStrings { argv, envp in
            program.executable.withCString { file in
                (user?.groups ?? []).withUnsafeBufferPointer { groups in
                    var containment = lgw_containment()
                    containment.file = file
                    containment.arguments = argv
                    containment.environment = envp
                    (containment.input, containment.output, containment.errors) = (input, output, errors)
                    if let user {
                        (containment.has_user, containment.user, containment.group) = (1, user.id, user.group)
                        (containment.groups, containment.group_count) = (groups.baseAddress, groups.count)
                    }
                    containment.grace_ms = Int32(grace.milliseconds)
                    let pid = lgw_start_contained(&containment, &control)
                    return (pid, errno)
                }
            }
        }
        guard pid > 0 else { throw SpawnError(executable: program.executable, code: code) }
        return SpawnedChild(pid: pid, control: control)
    }

    /// In a process group of its own, so that its children can be ended with it.
    /// - Parameter output: nil: thrown away; `errors` too.
    /// - Throws: `SpawnError`.
    static func inGroup(_ program: Program, input: Int32, output: Int32?, errors: Int32?) throws -> SpawnedChild {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, 0)
        for (descriptor, target) in [(output, 1), (errors, 2)] as [(Int32?, Int32)] {
            if let descriptor {
                posix_spawn_file_actions_adddup2(&actions, descriptor, target)
            } else {
                posix_spawn_file_actions_addopen(&actions, target, "/dev/null", O_WRONLY, 0)
            }
        }
        let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        for descriptor in open.compactMap({ Int32($0) }) where descriptor > 2 {
            posix_spawn_file_actions_addclose(&actions, descriptor)
        }
        return try exec(program, &actions)
    }

    private static func exec(
        _ program: Program, _ actions: inout posix_spawn_file_actions_t
    ) throws -> SpawnedChild {
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
        var pid: pid_t = 0
        let code = program.withCStrings { argv, envp in
            posix_spawnp(&pid, program.executable, &actions, &attributes, argv, envp)
        }
        guard code == 0 else { throw SpawnError(executable: program.executable, code: code) }
        return SpawnedChild(pid: pid, control: nil)
    }
}
