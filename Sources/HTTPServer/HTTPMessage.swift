/// A request, whole.
package struct HTTPRequest: Sendable {
    package let method: String
    /// Without the query; at most 2,048 bytes.
    package let path: String
    package let query: [String: String]
    /// Names in lower case; without those of over 256 bytes, as in `query`. Several lines of one name are one value, in
    /// the order of arrival, with a comma between them.
    package let headers: [String: String]
    package let body: [UInt8]
    /// The peer's IPv4 address; of a proxy, where there is one.
    package let clientAddress: String

    package init(
        method: String, path: String, query: [String: String] = [:], headers: [String: String] = [:],
        body: [UInt8] = [], clientAddress: String = "127.0.0.1"
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.clientAddress = clientAddress
    }
}

/// What is answered.
package struct HTTPResponse: Sendable {
    package var status: Int
    package var headers: [String: String]
    package var body: [UInt8]
    /// Ends the connection after the first half of the body, as a peer does that dies.
    package var isCutOff = false
    /// With status 101: takes the socket over.
    package var upgrade: (@Sendable (UpgradedSocket) -> Void)?

    package init(
        status: Int = 200, headers: [String: String] = [:], body: [UInt8] = [],
        upgrade: (@Sendable (UpgradedSocket) -> Void)? = nil
    ) {
        self.status = status
        self.headers = headers
        self.body = body
        self.upgrade = upgrade
    }

    package static func text(_ text: String, status: Int = 200, type: String = "text/plain; charset=utf-8") -> Self {
        HTTPResponse(status: status, headers: ["Content-Type": type], body: Array(text.utf8))
    }

    static let tooLarge = text("too large\n", status: 413)
}

/// The server could not be started.
package struct HTTPServerError: Error, Sendable, CustomStringConvertible {
    package let address: String
    package let reason: String

    package var description: String { "can't listen on \(address): \(reason)" }
}
