import Foundation

/// The rights of folders that hold everything that a gateway knows.
package enum PrivateFolder {
    /// Whether other users may look into the folder, or at least change nothing in it.
    package enum Openness: Sendable { case closed, readable }

    /// - Parameter owner: nil: this process's user.
    /// - Throws: `PrivatePostgres.Failure.folder` where the folder is somebody else's, or open to others. A folder that
    ///   is not there is no failure.
    package static func check(_ path: String, owner: uid_t? = nil, _ openness: Openness) throws(PrivatePostgres.Failure)
    {
        var status = stat()
        guard stat(path, &status) == 0 else { return }
        let owner = owner ?? geteuid()
        guard status.st_uid == owner else {
            throw .folder(
                path: path,
                problem: "it belongs to \(name(status.st_uid)), and not to \(name(owner)), who runs Postgres",
                remedy: "chown -R \(name(owner)) \(path)")
        }
        let rights = status.st_mode & 0o777
        let excess = rights & (openness == .closed ? 0o077 : 0o022)
        guard excess == 0 else {
            throw .folder(
                path: path,
                problem:
                    "others may \(openness == .closed ? "enter" : "change") it (its mode is \(String(rights, radix: 8)))",
                remedy: "chmod \(openness == .closed ? "700" : "go-w") \(path)")
        }
    }

    private static func name(_ user: uid_t) -> String {
        getpwuid(user).map { String(cString: $0.pointee.pw_name) } ?? "user \(user)"
    }
}
