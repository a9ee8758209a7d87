import Configuration
import Foundation
import Output
import Postgres

/// The part of `check` about the folder of the private Postgres: whether `run` could use it, or make it.
enum CheckStateDirectory {
    /// - Returns: the exit code that `run` would end with.
    static func run(_ directory: String, _ file: ConfigurationFile) -> Int32 {
        let service = file.service
        let owner = service?.user.flatMap { getpwnam($0)?.pointee.pw_uid } ?? (geteuid() == 0 ? nil : geteuid())
        var status = stat()
        guard stat(directory, &status) == 0 else {
            return missing(directory, errno, owner, isSystemds: service?.stateDirectory == directory, file)
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            return fail("\(directory) is no folder: move it away, or set another one")
        }
        // Root tells nothing of who runs the daemon.
        if owner == nil, status.st_uid == 0 {
            return fail(
                "\(directory) belongs to root, as whom no Postgres runs; type: sudo chown USER \(ShellWord.quoted(directory))"
            )
        }
        do throws(PrivatePostgres.Failure) {
            let owner = owner ?? status.st_uid
            try PrivateFolder.check(directory, owner: owner, .readable)
            for name in ["/postgres", "/postgres/data", "/postgres/socket"] {
                try PrivateFolder.check(directory + name, owner: owner, .closed)
            }
        } catch {
            return fail("\(error)")
        }
        Terminal.say("ok    state directory: \(directory)")
        return ExitCode.done
    }

    private static func missing(
        _ directory: String, _ code: Int32, _ owner: uid_t?, isSystemds: Bool, _ file: ConfigurationFile
    ) -> Int32 {
        switch code {
        case EACCES:
            return fail("\(directory) can't be looked at by this user; type: sudo lark-gateway check\(file.option)")
        case ENOENT where isSystemds:
            Terminal.say("ok    state directory: \(directory) is not there yet; systemd makes it")
            return ExitCode.done
        case ENOENT:
            var above = (directory as NSString).deletingLastPathComponent
            while !above.isEmpty, above != "/", access(above, F_OK) != 0 {
                above = (above as NSString).deletingLastPathComponent
            }
            guard let owner, !mayWrite(above.isEmpty ? "." : above, owner) else {
                Terminal.say("ok    state directory: \(directory) is not there yet; run makes it")
                return ExitCode.done
            }
            let name = getpwuid(owner).map { String(cString: $0.pointee.pw_name) } ?? "\(owner)"
            return fail(
                "\(directory) is not there, and \(name) may make nothing in \(above); type: \(FatalError.making(directory, owner: name))"
            )
        default: return fail("\(directory): \(String(cString: strerror(code)))")
        }
    }

    /// Of another user, as far as the folder's mode tells.
    private static func mayWrite(_ folder: String, _ user: uid_t) -> Bool {
        if user == geteuid() { return access(folder, W_OK | X_OK) == 0 }
        var status = stat()
        guard stat(folder, &status) == 0 else { return false }
        if user == 0 { return true }
        if status.st_uid == user { return status.st_mode & 0o300 == 0o300 }
        if getpwuid(user)?.pointee.pw_gid == status.st_gid { return status.st_mode & 0o030 == 0o030 }
        return status.st_mode & 0o003 == 0o003
    }

    private static func fail(_ problem: TerminalText) -> Int32 {
        Terminal.say("FAIL  state_directory: \(problem)")
        return ExitCode.configuration
    }
}
