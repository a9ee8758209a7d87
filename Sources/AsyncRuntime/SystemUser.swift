import Glibc

/// A user of this machine, with all its groups (getpwnam_r(3), getgrouplist(3)).
package struct SystemUser: Sendable, Equatable {
    package let name: String
    package let home: String
    let id: uid_t
    let group: gid_t
    let groups: [gid_t]

    /// - Returns: nil when there is no such user.
    package init?(named name: String) {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16 << 10)
        guard getpwnam_r(name, &entry, &buffer, buffer.count, &found) == 0, found != nil else { return nil }
        self.name = name
        home = entry.pw_dir.map { String(cString: $0) } ?? "/"
        id = entry.pw_uid
        group = entry.pw_gid
        var count: Int32 = 1024
        var groups = [gid_t](repeating: 0, count: Int(count))
        guard getgrouplist(name, entry.pw_gid, &groups, &count) >= 0 else { return nil }
        self.groups = Array(groups.prefix(Int(count)))
    }

    package var isRoot: Bool { id == 0 }

    /// Whether this process runs as that user.
    package var isUs: Bool { id == geteuid() }
}
