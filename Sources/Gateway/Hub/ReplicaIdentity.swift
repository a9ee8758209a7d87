import Foundation

/// Who holds a lease: host, boot, process namespace, process and its start, so that another process on the same host
/// can tell whether the holder still lives, and take over at once from one that was killed.
package struct ReplicaIdentity: Sendable, Equatable {
    let place: String
    let process: String

    package var name: String { "\(place)/\(process)" }

    /// This process.
    package static func current() -> ReplicaIdentity {
        let pid = getpid()
        return ReplicaIdentity(place: localPlace(), process: "\(pid).\(startTime(of: pid) ?? "0")")
    }

    /// Whether the holder of that name ran here, in a process that is gone.
    func knowsDead(_ name: String) -> Bool {
        guard name != self.name, let slash = name.lastIndex(of: "/"), name[..<slash] == place else { return false }
        let process = name[name.index(after: slash)...].split(separator: ".")
        guard process.count == 2, let pid = Int32(process[0]) else { return false }
        return Self.startTime(of: pid) != String(process[1])
    }

    private static func localPlace() -> String {
        let boot = (try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)) ?? "boot"
        let namespace = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/pid")) ?? "pid"
        return [ProcessInfo.processInfo.hostName, String(boot.prefix(8)), namespace.filter(\.isNumber)]
            .joined(separator: "/")
    }

    /// Clock ticks since boot (proc(5), /proc/pid/stat, field 22); nil when there is no such process, or a zombie.
    private static func startTime(of pid: Int32) -> String? {
        guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let end = stat.lastIndex(of: ")")
        else { return nil }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return nil }
        return String(fields[19])
    }
}
