import CLibpq

/// A connection URI or keyword text, as libpq reads it (Postgres documentation, 34.1.1).
package enum ConnectionText {
    package static func isValid(_ text: String) -> Bool {
        guard let options = PQconninfoParse(text, nil) else { return false }
        PQconninfoFree(options)
        return true
    }

    /// What is to be said of the way to the server: the hosts that are not this machine, and the `sslmode`, where that
    /// is less than `verify-full`, so that somebody in between could read all, or be the server.
    /// - Parameter environment: libpq takes from it what the text does not say (Postgres documentation, 34.15).
    /// - Returns: nil where all is well.
    package static func unverifiedWay(
        _ text: String, environment: [String: String]
    ) -> (hosts: [String], sslMode: String)? {
        guard let options = PQconninfoParse(text, nil) else { return nil }
        defer { PQconninfoFree(options) }
        var found: [String: String] = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { found[String(cString: keyword)] = String(cString: value) }
            option = option.advanced(by: 1)
        }
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
}
