import Foundation
import HTTPServer

/// Who asks for a page: wrong guesses are counted for each.
struct PairingClient: Sendable, Hashable {
    /// An IPv4 address; of IPv6 the first 64 bits, since one subscriber has all addresses behind them; else the proxy's
    /// words.
    let name: String
    /// A proxy on this machine does not say whom it speaks for: all its clients are one.
    let isHidden: Bool

    /// The peer; behind a proxy on this machine, who it says its client is. The last address of the list counts: it is
    /// the proxy's own word, those before are the client's.
    init(of request: HTTPRequest) {
        let isLocal = request.clientAddress.hasPrefix("127.")
        let last = request.headers["x-forwarded-for"]?.utf8.split(separator: UInt8(ascii: ",")).last
        isHidden = isLocal && last == nil
        guard isLocal, let last else {
            name = request.clientAddress
            return
        }
        let words = last.drop { $0 == UInt8(ascii: " ") }.prefix { $0 != UInt8(ascii: " ") }.prefix(64)
        name = Self.name(of: String(decoding: words, as: UTF8.self))
    }

    private static func name(of words: String) -> String {
        var address = words
        // With a port, as some proxies write it: 192.0.2.1:4711, [2001:db8::1]:4711.
        if address.hasPrefix("[") {
            address = String(address.dropFirst().prefix { $0 != "]" })
        } else if address.contains("."), let colon = address.firstIndex(of: ":"), !address.hasPrefix("::") {
            address = String(address[..<colon])
        }
        var parsed = in6_addr()
        guard inet_pton(AF_INET6, address, &parsed) == 1 else { return address }
        let bytes = withUnsafeBytes(of: parsed) { Array($0) }
        let mapped: [UInt8] = Array(repeating: 0, count: 10) + [0xFF, 0xFF]
        if bytes.starts(with: mapped) { return bytes[12...].map { "\($0)" }.joined(separator: ".") }
        return bytes[..<8].map { String($0, radix: 16) }.joined(separator: ":") + "/64"
    }
}
