import Configuration
import Curl
import Foundation
import Output

/// The part of `check` about what `run` listens on: whether it could be had now. A port that the running gateway has is
/// as it should be.
enum CheckPorts {
    /// - Returns: the exit code that `run` would end with.
    static func run(_ configuration: Configuration) async -> Int32 {
        let ports = [("metrics.listen", configuration.metrics), ("pairing.listen", configuration.pairing)]
        let refused = ports.compactMap { key, address -> (key: String, address: ListenAddress, reason: Int32)? in
            guard let address, address.port != 0, let reason = refusal(address) else { return nil }
            return (key, address, reason)
        }
        let isInUse = refused.contains { $0.reason == EADDRINUSE }
        let gateway = isInUse ? await RunningGateway.find(configuration) : nil
        var code = ExitCode.done
        for (key, address, reason) in refused {
            let place = "\(address.host):\(address.port)"
            // The page of the pairing port does not say whose it is.
            if reason == EADDRINUSE, let gateway, key != "metrics.listen" || gateway.answersOnMetrics {
                Terminal.say("ok    \(key): \(place) is held by the running gateway\(gateway.name)")
                continue
            }
            let hint: TerminalText =
                reason == EADDRINUSE ? "; \(FatalError.freeing(key: key, port: "\(address.port)"))" : ""
            Terminal.say("FAIL  \(key): can't listen on \(place): \(String(cString: strerror(reason)))\(hint)")
            code = ExitCode.failed
        }
        return code
    }

    /// Takes the port for a moment, without listening: nobody can connect.
    /// - Returns: nil where it can be had; else the error number.
    private static func refusal(_ address: ListenAddress) -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        // As the daemon: connections of the one before, which are ending, do not count.
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout.size(ofValue: yes)))
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = in_port_t(truncatingIfNeeded: address.port).bigEndian
        inet_pton(AF_INET, address.host, &name.sin_addr)
        let result = withUnsafePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        return result == 0 ? nil : errno
    }
}

/// The gateway that runs with a configuration now, as far as can be told from outside: by the lock on its state
/// directory, and by its metrics, which no other program has.
private struct RunningGateway {
    let processID: Int?
    let answersOnMetrics: Bool

    var name: String { processID.map { " (pid \($0))" } ?? "" }

    static func find(_ configuration: Configuration) async -> RunningGateway? {
        let answers = await answers(configuration.metrics)
        guard configuration.databaseURL == nil, let directory = configuration.stateDirectory else {
            return answers ? RunningGateway(processID: nil, answersOnMetrics: true) : nil
        }
        switch StateDirectoryLock.holder(of: directory) {
        case .process(let id): return RunningGateway(processID: id, answersOnMetrics: answers)
        // Another one may answer, with another state directory.
        case .nobody: return nil
        case .unknown: return answers ? RunningGateway(processID: nil, answersOnMetrics: true) : nil
        }
    }

    private static func answers(_ address: ListenAddress?) async -> Bool {
        guard let address, address.port != 0 else { return false }
        let host = address.host == "0.0.0.0" ? "127.0.0.1" : address.host
        guard let url = URL(string: "http://\(host):\(address.port)/metrics"),
            let answer = try? await HTTPExchange(timeout: .seconds(5)).send("GET", url), answer.status == 200
        else { return false }
        return String(decoding: answer.body, as: UTF8.self).contains("lark_gateway_")
    }
}
