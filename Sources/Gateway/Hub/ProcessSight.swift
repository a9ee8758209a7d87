import Foundation

/// What can be seen of a process of this machine.
enum ProcessSight: Sendable, Equatable {
    /// There is none of that number, or only what is left until its parent has heard of its end.
    case gone
    /// - Parameter start: clock ticks since boot (proc(5), /proc/pid/stat, field 22).
    case running(start: String)
    /// It exists, and /proc does not show it to us (`ProtectProc=` of systemd, `hidepid=` of proc(5)).
    case hidden

    static func look(at pid: pid_t) -> ProcessSight { look(at: pid, in: "/proc") }

    static func look(at pid: pid_t, in folder: String) -> ProcessSight {
        if let stat = try? String(contentsOfFile: "\(folder)/\(pid)/stat", encoding: .utf8),
            let end = stat.lastIndex(of: ")")
        {
            let fields = stat[stat.index(after: end)...].split(separator: " ")
            guard fields.count > 19 else { return .hidden }
            return fields[0] == "Z" || fields[0] == "X" ? .gone : .running(start: String(fields[19]))
        }
        // The kernel says what /proc does not: EPERM is a process of another user.
        return kill(pid, 0) != 0 && errno == ESRCH ? .gone : .hidden
    }
}
