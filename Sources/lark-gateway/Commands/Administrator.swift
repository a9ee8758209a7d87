import Foundation

/// Who runs this command, as the database notes it beside what the command says. It is for people who look for each
/// other, and proves nothing: who may write to the database may write any name.
enum Administrator {
    /// Such as `ada@vm`, or `root@vm (sudo: ada)`.
    static var name: String {
        let user = getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "uid \(geteuid())"
        let before = geteuid() == 0 ? ProcessInfo.processInfo.environment["SUDO_USER"].map { " (sudo: \($0))" } : nil
        return "\(user)@\(ProcessInfo.processInfo.hostName)\(before ?? "")"
    }
}
