import Glibc

/// Who can be reached at an address.
package enum AddressScope: Sendable, Equatable {
    case thisMachine
    /// Of this link, of a private network, or of nobody: what is no unicast address of the whole internet (RFC 6890 and
    /// its registries). Cloud providers serve credentials in there.
    case internalNetwork
    case internet

    /// - Parameter host: of a URL. nil: a name, which may have any address.
    package init?(host: String) {
        var name = host.lowercased()
        if name.hasPrefix("["), name.hasSuffix("]") { name = String(name.dropFirst().dropLast()) }
        if name.hasSuffix(".") { name.removeLast() }
        // RFC 6761, section 6.3.
        if name == "localhost" || name.hasSuffix(".localhost") {
            self = .thisMachine
            return
        }
        self.init(address: name)
    }

    /// - Parameter address: of IPv4, in every form that libcurl takes for one, or of IPv6. nil: it is none.
    package init?(address: String) {
        var four = in_addr()
        if inet_aton(address, &four) == 1 {
            self = Self.ofIPv4(UInt32(bigEndian: four.s_addr))
            return
        }
        var six = in6_addr()
        let withoutZone = String(address.prefix { $0 != "%" })
        guard inet_pton(AF_INET6, withoutZone, &six) == 1 else { return nil }
        self = Self.ofIPv6(withUnsafeBytes(of: six) { Array($0) })
    }

    private static func ofIPv4(_ address: UInt32) -> Self {
        func isIn(_ network: UInt32, _ bits: UInt32) -> Bool { address >> (32 - bits) == network >> (32 - bits) }
        if isIn(0x7F00_0000, 8) { return .thisMachine }
        let others: [(UInt32, UInt32)] = [
            // This network (0.0.0.0 connects to this machine), private ones, shared by subscribers, link-local.
            (0x0000_0000, 8), (0x0A00_0000, 8), (0xAC10_0000, 12), (0xC0A8_0000, 16), (0x6440_0000, 10),
            (0xA9FE_0000, 16),
            // Protocol assignments, benchmarks, multicast and what is reserved.
            (0xC000_0000, 24), (0xC612_0000, 15), (0xE000_0000, 3),
        ]
        return others.contains { isIn($0.0, $0.1) } ? .internalNetwork : .internet
    }

    private static func ofIPv6(_ bytes: [UInt8]) -> Self {
        func four(at index: Int) -> UInt32 { bytes[index..<(index + 4)].reduce(0) { $0 << 8 | UInt32($1) } }
        let zeros = bytes.prefix { $0 == 0 }.count
        if zeros == 15, bytes[15] == 1 { return .thisMachine }
        // An IPv4 address in it: mapped, translated (RFC 6052), 6to4.
        if zeros == 10, bytes[10] == 0xFF, bytes[11] == 0xFF { return ofIPv4(four(at: 12)) }
        if bytes.starts(with: [0x00, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0]) { return ofIPv4(four(at: 12)) }
        if bytes[0] == 0x20, bytes[1] == 0x02 { return ofIPv4(four(at: 2)) }
        // Global unicast is 2000::/3.
        return bytes[0] >> 5 == 1 ? .internet : .internalNetwork
    }
}
