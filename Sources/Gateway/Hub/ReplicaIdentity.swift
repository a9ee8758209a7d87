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
        let start = if case .running(let start) = ProcessSight.look(at: pid) { start } else { "0" }
        return ReplicaIdentity(place: localPlace(), process: "\(pid).\(start)")
    }

    /// Whether the holder of that name ran here, in a process that is gone. Of a process that can't be looked at
    /// nothing is said.
    package func knowsDead(_ name: String) -> Bool { knowsDead(name, look: ProcessSight.look) }

    func knowsDead(_ name: String, look: (pid_t) -> ProcessSight) -> Bool {
        guard name != self.name, let slash = name.lastIndex(of: "/"), name[..<slash] == place else { return false }
        let process = name[name.index(after: slash)...].split(separator: ".")
        guard process.count == 2, let pid = Int32(process[0]) else { return false }
        return switch look(pid) {
        case .gone: true
        case .running(let start): start != String(process[1])
        case .hidden: false
        }
    }

    private static func localPlace() -> String {
        let boot = (try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)) ?? "boot"
        let namespace = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/pid")) ?? "pid"
        return [ProcessInfo.processInfo.hostName, String(boot.prefix(8)), namespace.filter(\.isNumber)]
            .joined(separator: "/")
    }
}
