import Foundation

/// A real proxy on loopback, from Debian: tinyproxy for HTTP CONNECT, microsocks for SOCKS5.
package final class TestProxy: Sendable {
    package enum Kind: String, Sendable, CaseIterable {
        case http
        case socks5
        case socks5h
    }

    package static let user = "ann"
    package static let password = "pass2word"

    package let port: Int
    private let kind: Kind
    private let wantsPassword: Bool
    private let process: PeerProcess
    private let log: String

    package init(_ kind: Kind, wantsPassword: Bool) async throws {
        self.kind = kind
        self.wantsPassword = wantsPassword
        port = try PeerProcess.freePort()
        let folder = try TemporaryFolder.make("proxy")
        log = folder + "/log"
        switch kind {
        case .http:
            let lines =
                ["Port \(port)", "Listen 127.0.0.1", "LogFile \"\(log)\"", "LogLevel Info", "MaxClients 20"]
                + (wantsPassword ? ["BasicAuth \(Self.user) \(Self.password)"] : [])
            try (lines.joined(separator: "\n") + "\n").write(
                toFile: folder + "/conf", atomically: true, encoding: .utf8)
            process = PeerProcess("/usr/bin/tinyproxy", ["-d", "-c", folder + "/conf"])
        case .socks5, .socks5h:
            let credentials = wantsPassword ? ["-u", Self.user, "-P", Self.password] : []
            // It writes a line per connection to stderr.
            let command = "exec \"$0\" \"$@\" >>\"\(log)\" 2>&1"
            process = PeerProcess(
                "/bin/sh", ["-c", command, "/usr/bin/microsocks", "-i", "127.0.0.1", "-p", "\(port)"] + credentials)
        }
        guard try await PeerProcess.listening(on: port) else {
            throw PeerError(description: "no \(kind.rawValue) proxy")
        }
    }

    /// With the right credentials, where it wants some.
    package var url: String { url(password: wantsPassword ? Self.password : nil) }

    package func url(password: String?) -> String {
        let encoded = password?.addingPercentEncoding(withAllowedCharacters: .alphanumerics)
        return "\(kind.rawValue)://\(encoded.map { "\(Self.user):\($0)@" } ?? "")127.0.0.1:\(port)"
    }

    /// What the proxy says that it did.
    package var transcript: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }

    package func stop() async { await process.stop() }
}
