import CLibpq
import Foundation

/// A connection URI or keyword text, as libpq reads it (Postgres documentation, 34.1.1).
package enum ConnectionText {
    /// Whether libpq takes it, every port is a number, and no host has an `@`. In a URI whose password has a `/` or an
    /// `@` that is not percent-encoded, libpq reads a part of the password as the port or the host. Its errors quote
    /// both.
    package static func isValid(_ text: String) -> Bool {
        guard let options = PQconninfoParse(text, nil) else { return false }
        defer { PQconninfoFree(options) }
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val,
                !isPossible(String(cString: value), as: String(cString: keyword))
            {
                return false
            }
            option += 1
        }
        return true
    }

    /// What the text says, by libpq's keywords; nil: libpq does not take it.
    package static func values(_ text: String) -> [String: String]? {
        guard let options = PQconninfoParse(text, nil) else { return nil }
        defer { PQconninfoFree(options) }
        var found: [String: String] = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { found[String(cString: keyword)] = String(cString: value) }
            option = option.advanced(by: 1)
        }
        return found
    }

    /// The text that says these keywords.
    package static func text(_ values: [String: String]) -> String {
        values.sorted { $0.key < $1.key }.map { key, value in
            let quoted = value.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "'", with: "\\'")
            return "\(key)='\(quoted)'"
        }.joined(separator: " ")
    }

    /// What is to be said of the way to the server: the hosts that are not this machine, and the `sslmode`, where that
    /// is less than `verify-full`, so that somebody in between could read all, or be the server.
    /// - Parameter environment: libpq takes from it what the text does not say (Postgres documentation, 34.15).
    /// - Returns: nil where all is well.
    package static func unverifiedWay(
        _ text: String, environment: [String: String]
    ) -> (hosts: [String], sslMode: String)? {
        guard let found = values(text) else { return nil }
        // A service is a file of settings, which may name any host.
        let service = found["service"] ?? environment["PGSERVICE"]
        let addresses = found["hostaddr"] ?? environment["PGHOSTADDR"]
        let named = found["host"] ?? environment["PGHOST"] ?? service.map { "the service \($0)" } ?? ""
        let hosts = (addresses ?? named).split(separator: ",").map(String.init).filter { !isThisMachine($0) }
        let mode = found["sslmode"] ?? environment["PGSSLMODE"] ?? "prefer"
        return hosts.isEmpty || mode == "verify-full" ? nil : (hosts, mode)
    }

    private static func isThisMachine(_ host: String) -> Bool {
        host.hasPrefix("/") || host.hasPrefix("@") || host == "localhost" || host == "::1" || host.hasPrefix("127.")
    }

    /// - Parameter value: of several hosts or ports, with a comma between two of them.
    private static func isPossible(_ value: String, as keyword: String) -> Bool {
        let items = value.split(separator: ",").map(\.utf8)
        return switch keyword {
        case "port": items.allSatisfy { $0.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } }
        // A folder of sockets may have one, and an abstract socket begins with it.
        case "host": items.allSatisfy { $0.first == UInt8(ascii: "/") || !$0.dropFirst().contains(UInt8(ascii: "@")) }
        default: true
        }
    }
}
