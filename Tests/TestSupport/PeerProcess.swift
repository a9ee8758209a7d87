import AsyncRuntime
import Foundation

/// Another program that a test talks to; ends with the test process at the latest.
package final class PeerProcess: Sendable {
    private final class ProcessID: Sendable {
        let value = Mutex<pid_t?>(nil)
    }

    private let pid = ProcessID()
    private let task: Task<Void, Never>

    package init(_ executable: String, _ arguments: [String]) {
        task = Task { [pid] in
            _ = try? await ChildProcess.run(
                executable, arguments, environment: ProcessInfo.processInfo.environment, collectsOutput: false,
                deadline: .after(.seconds(600)),
                started: { child in
                    pid.value.withLock { $0 = child }
                    ExitCleanup.addProcess(child)
                })
            if let child = pid.value.withLock({ $0 }) { ExitCleanup.removeProcess(child) }
        }
    }

    package func stop() async {
        if let child = pid.value.withLock({ $0 }) { kill(child, SIGKILL) }
        await task.value
    }

    /// A TCP port of loopback that nobody uses now.
    package static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
            }
        }
        guard bound else { throw PeerError(description: "no free port") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    /// Waits until somebody listens there.
    package static func listening(on port: Int) async throws -> Bool {
        try await eventually(within: .seconds(10)) {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            return withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
        }
    }
}

package struct PeerError: Error, CustomStringConvertible {
    package let description: String

    package init(description: String) {
        self.description = description
    }
}
