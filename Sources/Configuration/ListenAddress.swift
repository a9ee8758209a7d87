import Foundation

/// An address to listen on.
package struct ListenAddress: Sendable, Equatable {
    package let host: String
    package let port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// Nobody but this machine can reach it.
    package var isLoopback: Bool { host.hasPrefix("127.") }

    /// `127.0.0.1:9464`; port 0 takes a free one.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let port = Self.number(parts[1], maxDigits: 5), port <= 65_535 else { return nil }
        let octets = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        // A zero before other digits is octal to some, and refused by inet_pton.
        let areOctets = octets.allSatisfy { octet in
            (Self.number(octet, maxDigits: 3) ?? 256) <= 255 && (octet == "0" || !octet.hasPrefix("0"))
        }
        guard octets.count == 4, areOctets else { return nil }
        self.init(host: String(parts[0]), port: port)
    }

    private static func number(_ text: Substring, maxDigits: Int) -> Int? {
        guard text.utf8.count <= maxDigits, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(text)
    }

    /// What `init(_ text:)` takes, for the schema.
    static let pattern: String = {
        let octet = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
        let port = "([0-5]?[0-9]{1,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
        return "(\(octet)\\.){3}\(octet):\(port)"
    }()

    init(_ node: JSONNode) throws {
        let text = try node.string()
        guard let address = ListenAddress(text) else {
            throw node.fail(
                "found \(QuotedValue.of(text)), expected an IPv4 address and port such as \"127.0.0.1:9464\"")
        }
        self = address
    }
}
