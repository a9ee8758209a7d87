import Foundation

/// An address to listen on.
package struct ListenAddress: Sendable, Equatable {
    package let host: String
    package let port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// `127.0.0.1:9464`; port 0 takes a free one.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let port = Int(parts[1]), (0...65_535).contains(port) else { return nil }
        let octets = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        guard octets.count == 4, octets.allSatisfy({ UInt8($0) != nil }) else { return nil }
        self.init(host: String(parts[0]), port: port)
    }

    init(_ node: JSONNode) throws {
        let text = try node.string()
        guard let address = ListenAddress(text) else {
            throw node.fail(
                "found \"\(text.prefix(40))\", expected an IPv4 address and port such as \"127.0.0.1:9464\"")
        }
        self = address
    }
}
