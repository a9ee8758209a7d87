import Foundation

/// The server refused the upgrade, or did not speak HTTP.
package struct HandshakeError: Error, Sendable, CustomStringConvertible {
    /// The HTTP status; 0 where there was none.
    package let status: Int
    /// Names in lower case.
    package let headers: [String: String]
    package let reason: String

    package init(status: Int, headers: [String: String], reason: String) {
        self.status = status
        self.headers = headers
        self.reason = reason
    }

    package var description: String { "the WebSocket handshake failed: \(reason)" }
}

/// RFC 6455, section 4, for both ends.
package enum Handshake {
    static let maxResponseBytes = 16 << 10

    /// Section 4.2.2, step 5.4.
    package static func acceptValue(forKey key: String) -> String {
        Data(SHA1.hash(Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))).base64EncodedString()
    }

    /// A nonce of 16 bytes (section 4.1).
    static func makeKey() -> String {
        Data((0..<16).map { _ in UInt8.random(in: .min ... .max) }).base64EncodedString()
    }

    /// Section 4.1. No cookies, no origin, no extensions, no subprotocol.
    static func request(target: String, host: String, key: String, userAgent: String) -> [UInt8] {
        Array(
            """
            GET \(target) HTTP/1.1\r
            Host: \(host)\r
            Upgrade: websocket\r
            Connection: Upgrade\r
            Sec-WebSocket-Key: \(key)\r
            Sec-WebSocket-Version: 13\r
            User-Agent: \(userAgent)\r
            \r\n
            """.utf8)
    }

    /// Reads the answer as it comes in.
    package struct ResponseParser {
        private var buffer: [UInt8] = []
        private let key: String

        package init(key: String) {
            self.key = key
        }

        /// - Returns: `nil` while the answer is not whole; then the bytes that came after it, the first frames.
        /// - Throws: `HandshakeError`.
        package mutating func receive(_ bytes: some Sequence<UInt8>) throws(HandshakeError) -> [UInt8]? {
            // What was here before has been searched, but for a beginning of the end.
            var index = max(3, buffer.count)
            buffer.append(contentsOf: bytes)
            while index < buffer.count, !endsHead(at: index) { index += 1 }
            guard index < buffer.count else {
                guard buffer.count <= Handshake.maxResponseBytes else {
                    throw HandshakeError(
                        status: 0, headers: [:], reason: "no end of the headers in \(buffer.count) bytes")
                }
                return nil
            }
            try check(buffer[..<(index - 3)])
            return Array(buffer[(index + 1)...])
        }

        /// Whether an empty line ends with this byte.
        private func endsHead(at index: Int) -> Bool {
            buffer[index] == 0x0A && buffer[index - 1] == 0x0D && buffer[index - 2] == 0x0A && buffer[index - 3] == 0x0D
        }

        /// Without the white space around it.
        private static func text(_ bytes: ArraySlice<UInt8>) -> String {
            let isSpace: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
            let start = bytes.firstIndex { !isSpace($0) } ?? bytes.endIndex
            let end = bytes.lastIndex { !isSpace($0) }.map { $0 + 1 } ?? start
            return String(decoding: bytes[start..<end], as: UTF8.self)
        }

        /// RFC 9112, sections 4 and 5.
        private func check(_ head: ArraySlice<UInt8>) throws(HandshakeError) {
            let lines = head.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            let statusLine = (lines.first ?? []).split(separator: UInt8(ascii: " "), maxSplits: 2)
            guard statusLine.count >= 2, statusLine[0].starts(with: "HTTP/1.".utf8),
                let status = Int(Self.text(statusLine[1]))
            else {
                throw HandshakeError(status: 0, headers: [:], reason: "the answer is not HTTP/1.1")
            }
            var headers: [String: String] = [:]
            for line in lines.dropFirst() {
                guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
                let name = Self.text(line[..<colon]).lowercased()
                let value = Self.text(line[(colon + 1)...])
                headers[name] = headers[name].map { $0 + ", " + value } ?? value
            }
            func fail(_ reason: String) -> HandshakeError {
                HandshakeError(status: status, headers: headers, reason: reason)
            }
            guard status == 101 else { throw fail("HTTP status \(status) instead of 101") }
            guard headers["upgrade"]?.lowercased() == "websocket" else { throw fail("no Upgrade: websocket") }
            let connection = headers["connection"]?.lowercased().utf8.split(separator: UInt8(ascii: ",")) ?? []
            guard connection.contains(where: { Self.text(Array($0)[...]) == "upgrade" }) else {
                throw fail("no Connection: Upgrade")
            }
            guard headers["sec-websocket-accept"] == Handshake.acceptValue(forKey: key) else {
                throw fail("a wrong Sec-WebSocket-Accept")
            }
            guard headers["sec-websocket-extensions"] == nil, headers["sec-websocket-protocol"] == nil else {
                throw fail("an extension or subprotocol that was not asked for")
            }
        }
    }
}
